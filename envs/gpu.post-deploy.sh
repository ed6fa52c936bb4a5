#!/usr/bin/env bash
# Both builds of ONNX Runtime write the same files: take the CPU one out, put the CUDA one in (again).
set -euo pipefail
version=$(python -c 'from importlib.metadata import version; print(version("onnxruntime-gpu"))')
python -m pip uninstall --quiet --yes onnxruntime onnxruntime-gpu
python -m pip install --quiet --no-deps "onnxruntime-gpu==$version"
