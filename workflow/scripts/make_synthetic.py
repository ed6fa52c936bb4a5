#!/usr/bin/env python3
"""Door to :mod:`frontalbench.commands.make_synthetic`; ``--help`` says what it does and takes."""

from frontalbench import cli
from frontalbench.commands.make_synthetic import main

if __name__ == "__main__":
    cli.run(main)
