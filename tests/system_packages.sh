#!/usr/bin/env bash
# Debian packages that the SLURM and browser tests use. Where they cannot be installed, those tests skip and say so.
set -uo pipefail
wanted=()
command -v slurmctld >/dev/null || wanted+=(slurm-wlm munge)
command -v chromium >/dev/null || wanted+=(chromium)
command -v chromedriver >/dev/null || wanted+=(chromium-driver)
[ ${#wanted[@]} -eq 0 ] && exit 0
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
  echo "not installed (needs root and apt): ${wanted[*]}; their tests will skip" >&2
  exit 0
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq >/dev/null 2>&1
apt-get install -y -qq --no-install-recommends "${wanted[@]}" >/dev/null 2>&1 || echo "apt-get could not install ${wanted[*]}; their tests will skip" >&2
exit 0
