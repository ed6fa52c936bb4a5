"""Comparing embeddings: pair groups, similarities, derived variants (fusion, controls), statistics, bootstrap.

* :mod:`.kernel`: blocked matrix products that turn two sets of embeddings into pair scores, memory flat;
* :mod:`.scores`: impostor histogram with exact upper tail, its file;
* :mod:`.metadata`, :mod:`.shards`, :mod:`.galleries`: what a cell reads: its images, its embeddings (each table once), the references;
* :mod:`.recipes`: what a derived variant makes of them (fusion, mean-shift control, gate), by the rules of :mod:`.derived`;
* :mod:`.scoring`, :mod:`.cell`: one cell (dataset, variant, detector, backbone) -> pair scores, and one row per image;
* :mod:`.groups`: the pair groups of the study and their summary rows;
* :mod:`.jackknife`, :mod:`.significance`, :mod:`.rates`, :mod:`.separation`, :mod:`.curves`: intervals, tests, error rates, d', curves over
  yaw; :mod:`.bootstrap`: shared draws;
* :mod:`.pairs`: pair groups of plain folders, from a ``pairs.yaml``; :mod:`.paired`: views of one photograph compared by image.
"""
