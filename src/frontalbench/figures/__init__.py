"""Plots and image grids, one style (:mod:`.style`).

``series`` turns tables into the numbers that are drawn, ``plots`` draws numbers, ``grids`` draws images, ``dataset`` makes every figure of a
dataset in one go. Only ``style``, ``plots`` and ``grids`` import matplotlib.
"""
