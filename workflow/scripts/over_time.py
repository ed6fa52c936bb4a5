#!/usr/bin/env python3
"""Door to :mod:`frontalbench.commands.over_time`; ``--help`` says what it does and takes."""

from frontalbench import cli
from frontalbench.commands.over_time import main

if __name__ == "__main__":
    cli.run(main)
