#!/usr/bin/env bash
# Snakemake's `:q` quotes every text but the empty one, which leaves the command line: an option before it takes the next option as its value.
# Guessed:  {params.x:q} is shlex.quote, so an empty text becomes '' and `--state {params.x:q}` always passes two words.
# Seen:     Snakemake 9.27.1 quotes a formatted value only where it is not empty (QuotedFormatter.format_field, on purpose, said in its docstring and not
#           in the manual). `--state {params.empty:q} --next value` reaches the program as --state --next value: argparse ends with "expected one
#           argument" where the following word begins with a dash, and takes a following plain word as the option's value without a word.
#           `--state={params.empty:q}` passes an empty text.
# Why it matters: a param that is empty in most jobs (a note, a state, an optional list) moves the words after it by one in just those jobs. Write such
#           options with an equals sign.
# Source:   seen in a rule whose optional param was empty; snakemake/utils.py of the version below.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check 'snakemake==9.27.1' 2>/dev/null
cd "$work"
export HOME="$work"
"$work/venv/bin/snakemake" --version
cat > show.py <<'PY'
import argparse

parser = argparse.ArgumentParser(exit_on_error=False)
parser.add_argument("--state")
parser.add_argument("names", nargs="*")
try:
    print(parser.parse_args())
except argparse.ArgumentError as error:
    print(error)
PY
cat > Snakefile <<'SMK'
rule all:
    input: "apart.txt", "equals.txt", "plain.txt", "dash.txt"

rule apart:
    output: "apart.txt"
    params: empty="", text="two words"
    shell: "{{ printf '[%s]' --state {params.empty:q} {params.text:q}; echo; }} > {output}"

rule equals:
    output: "equals.txt"
    params: empty=""
    shell: "python3 show.py --state={params.empty:q} one > {output}"

rule plain:
    output: "plain.txt"
    params: empty=""
    shell: "python3 show.py --state {params.empty:q} one two > {output}"

rule dash:
    output: "dash.txt"
    params: empty=""
    shell: "python3 show.py --state {params.empty:q} -- one > {output}"
SMK
"$work/venv/bin/snakemake" --cores 1 --quiet all > log 2>&1
for file in apart equals plain dash; do
    echo "$file: $(cat "$file.txt")"
done
grep -qx '\[--state\]\[two words\]' apart.txt
grep -qx "Namespace(state='', names=\['one'\])" equals.txt
grep -qx "Namespace(state='one', names=\['two'\])" plain.txt
grep -q 'expected one argument' dash.txt
echo "as described"
