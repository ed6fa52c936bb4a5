"""LivePortrait (Guo et al. 2024, arXiv 2407.03168): networks, checkpoints, motion, crop and pipeline, written from their description.

Import the modules themselves. ``pipeline`` is the whole thing, ``networks`` the five networks, ``checkpoints`` reads the official weights.
"""
