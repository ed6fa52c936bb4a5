"""LivePortrait (Guo et al. 2024, arXiv 2407.03168): motion, crop, pipeline and self-test, written from their description.

Import the modules themselves. ``pipeline`` is the whole thing. The networks themselves: :mod:`frontalbench.networks.liveportrait`.
"""
