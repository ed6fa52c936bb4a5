# What all rules share. Every question about cards, paths and code goes to one object, whose logic is in the tested library.

import gc

from frontalbench import grid
from frontalbench.errors import FrontalbenchError
from frontalbench.workflow import Plan
from snakemake.exceptions import WorkflowError

# The graph is a million objects that stay until the end, and the garbage collector's default is to look through them again and again: a fifth of the
# time of a dry run. What is young and dead is still collected.
gc.set_threshold(200_000, 50, 50)

try:
    PLAN = Plan(config)
except FrontalbenchError as error:
    raise WorkflowError(str(error)) from None


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
