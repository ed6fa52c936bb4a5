#!/usr/bin/env python3
"""Door to :mod:`frontalbench.commands.measure_pose`; ``--help`` says what it does and takes."""

from frontalbench import cli
from frontalbench.commands.measure_pose import main

if __name__ == "__main__":
    cli.run(main)
