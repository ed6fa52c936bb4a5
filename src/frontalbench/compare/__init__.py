"""Comparing embeddings: pair groups, similarities, derived variants (fusion, controls), statistics, bootstrap.

* :mod:`.kernel`: blocked matrix products that turn two sets of embeddings into pair scores, memory flat;
* :mod:`.scores`: impostor histogram with exact upper tail, its file;
* :mod:`.metadata`, :mod:`.shards`, :mod:`.galleries`: what a cell reads: its images, its embeddings, the references;
* :mod:`.cell`: one cell (dataset, variant, detector, backbone) -> one row per image;
* :mod:`.derived`: variants made of embeddings that are already there (fusion, mean-shift control);
* :mod:`.groups`: the pair groups of the study and their summary rows;
* :mod:`.jackknife`, :mod:`.stats`, :mod:`.curves`: intervals, tests, error rates, curves over yaw; :mod:`.bootstrap`: shared draws;
* :mod:`.pairs`: pair groups of plain folders, from a ``pairs.yaml``; :mod:`.paired`: views of one photograph compared by picture.
"""
