#!/usr/bin/env bash
# Lint, then every test. On a machine where we may install packages, the SLURM and browser tests get theirs first.
set -euo pipefail
cd "$(dirname "$0")/.."
# Tests start Python some hundred times: compiled once, the package is there in half the time.
unset PYTHONDONTWRITEBYTECODE
tests/lint.sh
tests/system_packages.sh
exec python -m pytest -n "${TEST_WORKERS:-2}" --dist loadgroup --no-loadscope-reorder "$@"
