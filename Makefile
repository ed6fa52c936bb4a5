# The only commands you need:
#   make run    from a fresh machine to the finished report of the demo grid
#   make test   from a fresh machine to all tests
#   make check  lint, types and the quick tests: for after every change
# All make their own .venv, with Python 3.11 to 3.14. Options: CORES=4, PYTHON=python3.12, ARGS="--configfile config/paper.yaml"

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
PYTHON ?= python3
CORES ?= $(shell nproc)
ARGS ?=
BIN := .venv/bin
STAMP := .venv/installed
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: run test check lint clean clean-pictures

run: $(STAMP)
	@status=0; snakemake --cores $(CORES) $(ARGS) || status=$$?; \
	workflow/scripts/make_report.sh $(ARGS); exit $$status

test: .venv/installed-dev
	./tests/run.sh

check: .venv/installed-dev
	./tests/check.sh

lint: .venv/installed-dev
	./tests/lint.sh

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) workflow/scripts/bootstrap.py --python-only
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	$(BIN)/python workflow/scripts/bootstrap.py
	touch $@

.venv/installed-dev: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev,synth,page]"
	touch $@

clean:
	rm -rf results reports/*/report.html reports/*/site logs
	find reports -mindepth 1 -type d -empty -delete

# Room on the disk: crops, frontals and variants go, embeddings, tables and figures stay.
clean-pictures: $(STAMP)
	snakemake --cores 1 clean_pictures
