#!/usr/bin/env python3
"""Door to :mod:`frontalbench.commands.cancel_run`; ``--help`` says what it does and takes."""

from frontalbench import cli
from frontalbench.commands.cancel_run import main

if __name__ == "__main__":
    cli.run(main)
