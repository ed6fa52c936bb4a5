#!/usr/bin/env bash
# Lint and every test. On a machine where we may install packages, the SLURM and browser tests get theirs first.
set -euo pipefail
cd "$(dirname "$0")/.."
tests/system_packages.sh
exec tests/beside_lint.sh "$@"
