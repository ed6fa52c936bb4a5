# What all rules share. Every question about cards, paths and code goes to one object, whose logic is in the tested library.

from frontalbench import grid
from frontalbench.errors import FrontalbenchError
from frontalbench.workflow import Plan
from snakemake.exceptions import WorkflowError

try:
    PLAN = Plan(config)
except FrontalbenchError as error:
    raise WorkflowError(str(error)) from None


wildcard_constraints:
    **grid.WILDCARDS,


localrules:
    all,
    results,
    check_weights,
    fetch_weights,
    fetch_datasets,
