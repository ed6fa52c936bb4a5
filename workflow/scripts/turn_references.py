#!/usr/bin/env python3
"""Door to :mod:`frontalbench.commands.turn_references`; ``--help`` says what it does and takes."""

from frontalbench import cli
from frontalbench.commands.turn_references import main

if __name__ == "__main__":
    cli.run(main)
