"""Where models run: ONNX Runtime sessions, torch devices, and the lock that hands out GPUs."""
