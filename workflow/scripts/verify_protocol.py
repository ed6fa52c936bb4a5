#!/usr/bin/env python3
"""Door to :mod:`frontalbench.commands.verify_protocol`; ``--help`` says what it does and takes."""

from frontalbench import cli
from frontalbench.commands.verify_protocol import main

if __name__ == "__main__":
    cli.run(main)
