#!/usr/bin/env bash
# Lint, then every test. On a machine where we may install packages, the SLURM and browser tests get theirs first.
set -euo pipefail
cd "$(dirname "$0")/.."
tests/lint.sh
tests/system_packages.sh
exec python -m pytest -n "${TEST_WORKERS:-2}" --dist loadgroup "$@"
