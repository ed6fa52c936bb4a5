#!/usr/bin/env bash
# Everything that reads code without running it.
set -euo pipefail
cd "$(dirname "$0")/.."
ruff check .
ruff format --check .
mypy
snakefmt --check Snakefile rules
snakemake --lint >/tmp/frontalbench-lint.$$ 2>&1 || { cat /tmp/frontalbench-lint.$$; rm -f /tmp/frontalbench-lint.$$; exit 1; }
rm -f /tmp/frontalbench-lint.$$
echo "lint: clean"
