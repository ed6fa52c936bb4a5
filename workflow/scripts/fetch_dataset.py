#!/usr/bin/env python3
"""Door to :mod:`frontalbench.commands.fetch_dataset`; ``--help`` says what it does and takes."""

from frontalbench import cli
from frontalbench.commands.fetch_dataset import main

if __name__ == "__main__":
    cli.run(main)
