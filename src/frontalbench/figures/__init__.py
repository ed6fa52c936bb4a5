"""Plots and picture grids, one style (:mod:`.style`).

``series`` turns tables into the numbers that are drawn, ``plots`` draws numbers, ``grids`` draws pictures, ``dataset`` makes every figure of a
dataset in one go. Only ``style``, ``plots`` and ``grids`` import matplotlib.
"""
