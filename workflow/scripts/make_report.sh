#!/usr/bin/env bash
# reports/RUN/report.html from the finished results; nothing to do when it is newer than they are. Arguments go to snakemake.
set -euo pipefail
mkdir -p logs
told=$(snakemake where --cores 1 --quiet rules progress host reason --nolock "$@" 2>logs/report.log) || { cat logs/report.log >&2; exit 1; }
run=$(sed -n 's/^run: *//p' <<<"$told")
report=$(sed -n 's/^report: *//p' <<<"$told")
if [ -z "$run" ] || [ ! -f "results/master/$run/master.parquet" ]; then
  echo "no results/master/$run yet: no report" >&2
  exit 0
fi
if [ -f "$report" ] && [ -z "$(find "results/master/$run" "results/figures/$run" reports/captions reports/workflow.rst -newer "$report" -type f -print -quit 2>/dev/null)" ]; then
  echo "$report is up to date" >&2
  exit 0
fi
mkdir -p "$(dirname "$report")"
snakemake results --cores 1 --report "$report.part.html" "$@" >logs/report.log 2>&1 || { cat logs/report.log >&2; rm -f "$report.part.html"; exit 1; }
python workflow/scripts/thin_report.py "$report.part.html" || { rm -f "$report.part.html"; exit 1; }
mv "$report.part.html" "$report"
echo "wrote $report" >&2
