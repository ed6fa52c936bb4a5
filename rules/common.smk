# What all rules share. Every question about cards, paths and code goes to one object, whose logic is in the tested library.

import gc
import os
import sys

from frontalbench.errors import FrontalbenchError
from frontalbench.plan import grid, runs, variant
from frontalbench.plan.configuration import (
    asks_for_everything,
    configuration_layers,
    script_command,
)
from frontalbench.plan.plan import Plan
from frontalbench.plan.variant import ORIGINAL
from frontalbench.runtime import devices
from snakemake.exceptions import WorkflowError

# The graph is a million objects that stay until the end, and the garbage collector's default is to look through them again and again: a fifth of the
# time of a dry run. What is young and dead is still collected.
gc.set_threshold(200_000, 50, 50)

try:
    given = workflow.config_settings
    # A profile's `resources: gpu=N`: which they are, for the jobs of this process. A cluster hands them out itself.
    devices.prepare(
        workflow.global_resources.get("gpu").value if workflow.local_exec else None,
        os.environ,
    )
    before = [path for path in workflow.configfiles if path not in given.configfiles]
    PLAN = Plan(
        config,
        layers=configuration_layers([*before, *given.configfiles], given.config),
        scripts=Path(workflow.basedir, "workflow", "scripts"),
        run=runs.name_of(config, given.configfiles, given.config),
    )
except FrontalbenchError as error:
    raise WorkflowError(str(error)) from None


# For reports/workflow.rst, which sees nothing but this: names as they were run, where the configuration has options and an `if_npm` part.
config["told"] = PLAN.told()


# The interpreter that runs Snakemake also runs the jobs, whether its environment is activated or not; inside of a deployed one (conda, a container)
# there is another. The scripts lie beside the Snakefile, wherever the results go (--directory).
SCRIPT = script_command(
    Path(workflow.basedir),
    deployed=bool(workflow.deployment_settings.deployment_method),
)


# The same with the interpreter that runs Snakemake, also where a conda environment is activated: for jobs that start a foreign one themselves.
HERE = script_command(
    Path(workflow.basedir),
    deployed="apptainer"
    in {str(method) for method in workflow.deployment_settings.deployment_method},
)


# Told at once: from a function of a rule Snakemake would wrap its stack trace around the line that says what to do.
if workflow.is_main_process and asks_for_everything(sys.argv[1:]):
    try:
        PLAN.sources.check()
    except FrontalbenchError as error:
        raise WorkflowError(str(error)) from None


# What belongs to this configuration alone: its tables, figures, pages and images for people. Cells are shared by all.
RUN = PLAN.run
OWN = PLAN.places


onstart:
    for note in PLAN.sources.notes():
        logger.warning(note)


wildcard_constraints:
    **grid.WILDCARDS,


localrules:
    all,
    results,
    check_weights,
    fetch_weights,
    fetch_datasets,
    where,
