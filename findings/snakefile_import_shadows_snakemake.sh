#!/usr/bin/env bash
# A function imported by name in a Snakefile, called like one of Snakemake's own, changes how Snakemake reads the files after it.
# Guessed:  a Snakefile has a namespace of its own, as a Python module has; `from string import capwords as parse` would matter to that file alone.
# Seen:     Snakemake 9.27.1 executes Snakefiles in the globals of its own module snakemake.workflow. After an import that binds the name `parse`, the next
#           `include:` calls that function in place of Snakemake's parser and the run ends with a TypeError that points at the `include:` line and speaks
#           of an argument `rulecount` that nobody wrote. An import of the module, and use of it by attribute, is harmless; so is the name where no file is included afterwards.
# Why it matters: workflows import small helpers into common.smk; linters, type checkers and unit tests of the helper all pass, only a dry run shows it.
#           Import modules into Snakefiles, not functions.
# Source:   seen when a grammar's `parse` was imported into a shared rules file; the globals are passed in Workflow.include (snakemake/workflow.py).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check 'snakemake==9.27.1' 2>/dev/null
cd "$work"
export HOME="$work"
"$work/venv/bin/snakemake" --version
printf 'rule all:\n    output: "a.txt"\n    shell: "touch {output}"\n' > rules.smk
printf 'from string import capwords as parse\ninclude: "rules.smk"\n' > by_name.smk
printf 'import string\ninclude: "rules.smk"\n' > by_module.smk
printf 'include: "rules.smk"\nfrom string import capwords as parse\n' > afterwards.smk
for file in by_module afterwards; do
    "$work/venv/bin/snakemake" -n -s "$file.smk" --quiet all > "$file.log" 2>&1
    echo "$file: planned"
done
if "$work/venv/bin/snakemake" -n -s by_name.smk > by_name.log 2>&1; then
    echo "by_name: planned; the behaviour has changed"
    exit 1
fi
sed "s|$work/||g" by_name.log | head -n 6
grep -q 'TypeError in file .*by_name.smk", line 2' by_name.log
grep -q "unexpected keyword argument 'rulecount'" by_name.log
echo "as described"
