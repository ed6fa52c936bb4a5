#!/usr/bin/env python3
"""Door to :mod:`frontalbench.commands.prepare_environments`; ``--help`` says what it does and takes."""

from frontalbench import cli
from frontalbench.commands.prepare_environments import main

if __name__ == "__main__":
    cli.run(main)
