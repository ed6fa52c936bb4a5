#!/usr/bin/env bash
# Tests with the given arguments of pytest, and lint beside them, as mypy keeps only one core busy.
set -euo pipefail
cd "$(dirname "$0")/.."
# Tests start Python some hundred times: compiled once, the package is there in half the time.
unset PYTHONDONTWRITEBYTECODE
said=$(mktemp)
trap 'rm -f "$said"' EXIT
tests/lint.sh >"$said" 2>&1 &
lint=$!
status=0
# What takes longest begins first (tests/conftest.py).
python -m pytest -n "${TEST_WORKERS:-2}" --dist loadgroup --no-loadscope-reorder "$@" || status=$?
wait "$lint" || status=$?
cat "$said"
exit "$status"
