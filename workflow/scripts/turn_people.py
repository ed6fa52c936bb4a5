#!/usr/bin/env python3
"""Door to :mod:`frontalbench.commands.turn_people`; ``--help`` says what it does and takes."""

from frontalbench import cli
from frontalbench.commands.turn_people import main

if __name__ == "__main__":
    cli.run(main)
