#!/usr/bin/env python3
"""Door to :mod:`frontalbench.commands.selftest_swap`; ``--help`` says what it does and takes."""

from frontalbench import cli
from frontalbench.commands.selftest_swap import main

if __name__ == "__main__":
    cli.run(main)
