#!/usr/bin/env bash
# What to run after every change, under two minutes on two cores: lint, types, and the unit tests that need no weights and take no time.
set -euo pipefail
cd "$(dirname "$0")/.."
exec tests/beside_lint.sh -m "not weights and not slow" tests/unit "$@"
