#!/usr/bin/env python3
"""Door to :mod:`frontalbench.commands.extract_embeddings`; ``--help`` says what it does and takes."""

from frontalbench import cli
from frontalbench.commands.extract_embeddings import main

if __name__ == "__main__":
    cli.run(main)
