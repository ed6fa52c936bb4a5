#!/usr/bin/env python3
"""Door to :mod:`frontalbench.commands.pose_page`; ``--help`` says what it does and takes."""

from frontalbench import cli
from frontalbench.commands.pose_page import main

if __name__ == "__main__":
    cli.run(main)
