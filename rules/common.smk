# What all rules share. Every question about cards, paths and code goes to one object, whose logic is in the tested library.

import gc
import os

from frontalbench import devices, grid, runs
from frontalbench.errors import FrontalbenchError
from frontalbench.workflow import Plan
from snakemake.exceptions import WorkflowError

# The graph is a million objects that stay until the end, and the garbage collector's default is to look through them again and again: a fifth of the
# time of a dry run. What is young and dead is still collected.
gc.set_threshold(200_000, 50, 50)

try:
    # A profile's `resources: gpu=N`: which they are, for the jobs of this process. A cluster hands them out itself.
    devices.prepare(
        workflow.global_resources.get("gpu").value if workflow.local_exec else None,
        os.environ,
    )
    PLAN = Plan(
        config,
        run=runs.name_of(
            config,
            workflow.config_settings.configfiles,
            workflow.config_settings.config,
        ),
    )
except FrontalbenchError as error:
    raise WorkflowError(str(error)) from None


# What belongs to this configuration alone: its tables, figures, pages and pictures for people. Cells are shared by all.
RUN = PLAN.run
OWN = PLAN.places


onstart:
    for note in PLAN.notes():
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
