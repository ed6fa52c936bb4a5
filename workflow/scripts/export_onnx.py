#!/usr/bin/env python3
"""Door to :mod:`frontalbench.commands.export_onnx`; ``--help`` says what it does and takes."""

from frontalbench import cli
from frontalbench.commands.export_onnx import main

if __name__ == "__main__":
    cli.run(main)
