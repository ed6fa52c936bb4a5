#!/usr/bin/env python3
"""Door to :mod:`frontalbench.commands.thin_report`; ``--help`` says what it does and takes."""

from frontalbench import cli
from frontalbench.commands.thin_report import main

if __name__ == "__main__":
    cli.run(main)
