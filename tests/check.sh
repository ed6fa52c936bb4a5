#!/usr/bin/env bash
# What to run after every change, under two minutes on two cores: lint, types, and the unit tests that need no weights and take no time.
# Lint runs beside the tests, as mypy keeps only one core busy.
set -euo pipefail
cd "$(dirname "$0")/.."
# Tests start Python some hundred times: compiled once, the package is there in half the time.
unset PYTHONDONTWRITEBYTECODE
said=$(mktemp)
trap 'rm -f "$said"' EXIT
tests/lint.sh >"$said" 2>&1 &
lint=$!
status=0
python -m pytest -n "${TEST_WORKERS:-2}" --dist loadgroup --no-loadscope-reorder -m "not weights and not slow" tests/unit "$@" || status=$?
wait "$lint" || status=$?
cat "$said"
exit "$status"
