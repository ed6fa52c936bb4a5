"""Frontalbench: does a frontalized face keep its identity? This file is the table of contents."""

import sys
from pathlib import Path

from frontalbench.plan.configuration import checked_configuration
from snakemake.utils import min_version

min_version("9.20")


# That of the working folder (--directory) where it has one.
configfile: checked_configuration(Path(workflow.basedir))


# Where to look now. (Jobs on a cluster run without hooks.)
onsuccess:
    print("\n".join(PLAN.places.ready()), file=sys.stderr)


report: "reports/workflow.rst"


# Only with --sdm apptainer (docs/install.md says how to make it).
container: "frontalbench.sif"


include: "rules/common.smk"
include: "rules/weights.smk"
include: "rules/prepare.smk"
include: "rules/detect.smk"
include: "rules/pose.smk"
include: "rules/metadata.smk"
include: "rules/frontalize.smk"
include: "rules/enhance.smk"
include: "rules/embed.smk"
include: "rules/turned.smk"
include: "rules/compare.smk"
include: "rules/quality.smk"
include: "rules/figures.smk"
include: "rules/cost.smk"
include: "rules/summarize.smk"
include: "rules/search.smk"
include: "rules/site.smk"
include: "rules/export.smk"
include: "rules/train.smk"
include: "rules/clean.smk"


rule all:
    default_target: True
    input:
        rules.results.input,
        rules.site.output,
        rules.check_weights.output,
