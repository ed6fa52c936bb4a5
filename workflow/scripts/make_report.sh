#!/usr/bin/env bash
# reports/report.html from the finished results; nothing to do when it is newer than they are. Arguments go to snakemake.
set -euo pipefail
report=reports/report.html
newest=results/master/master.parquet
if [ ! -f "$newest" ]; then
  echo "no results/master yet: no report" >&2
  exit 0
fi
if [ -f "$report" ] && [ -z "$(find results/master results/figures reports/captions reports/workflow.rst -newer "$report" -type f -print -quit 2>/dev/null)" ]; then
  echo "$report is up to date" >&2
  exit 0
fi
mkdir -p reports
snakemake results --cores 1 --report "$report.part.html" "$@" >logs/report.log 2>&1 || { cat logs/report.log >&2; rm -f "$report.part.html"; exit 1; }
mv "$report.part.html" "$report"
echo "wrote $report" >&2
