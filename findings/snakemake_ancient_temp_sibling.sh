#!/usr/bin/env bash
# Snakemake's ancient() does not keep the finished siblings of a temp() file: a new consumer of it reruns all the old ones.
# Guessed:  `input: ancient("drawn.txt")` is "always older than the outputs" (manual), so when a temp() intermediate has gone and one new target needs it
#           again, only the new target's job and the one that makes the intermediate run.
# Seen:     Snakemake 9.27.1 plans the finished consumers too, with the reason "Input files updated by another job: drawn.txt": the time mark is ignored
#           where the file is made in the same run. With the same intermediate kept (no temp()), one job is planned.
# Why it matters: an expensive shared step (a network's raw output that several cheap steps finish) looks like a case for temp(); adding one finishing step
#           later then reruns the network and every finished step, and everything behind them. Keep such files, and offer to clean them.
# Source:   planned for a shared restoration network; ancient() and temp() in the manual of the version below.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check 'snakemake==9.27.1' 2>/dev/null
cd "$work"
export HOME="$work"
"$work/venv/bin/snakemake" --version
for kind in temp kept; do
    mkdir "$kind"
    cd "$kind"
    [ "$kind" = temp ] && drawn='temp("drawn.txt")' || drawn='"drawn.txt"'
    cat > Snakefile <<SMK
rule all:
    input: expand("out/{n}.txt", n=config["names"].split("-"))

rule draw:
    output: $drawn
    shell: "echo drawn > {output}"

rule finish:
    input: ancient("drawn.txt")
    output: "out/{n}.txt"
    shell: "cp {input} {output}"
SMK
    "$work/venv/bin/snakemake" --cores 1 --config names=a --quiet all > log 2>&1
    "$work/venv/bin/snakemake" --cores 1 --config names=a-b --dry-run > plan 2>&1
    echo "$kind: $(grep -E '^(draw|finish) +[0-9]' plan | sort -u | tr -s ' ' | paste -sd, -)"
    cd ..
done
grep -qE '^draw +1$' temp/plan
grep -qE '^finish +2$' temp/plan
grep -q 'Input files updated by another job: drawn.txt' temp/plan
! grep -qE '^draw ' kept/plan
grep -qE '^finish +1$' kept/plan
echo "as described"
