"""Datasets: cards, what images there are, who is on them, which is a reference and which a probe.

>>> from frontalbench import datasets
>>> card = datasets.find("lfw").with_options({"limit": 50})   # doctest: +SKIP
>>> datasets.shard_names(card)                                # doctest: +SKIP
"""

from frontalbench.datasets.card import DEFAULT_YAW_BINS, DatasetCard, find, load, names, shard_names

__all__ = ["DEFAULT_YAW_BINS", "DatasetCard", "counts", "duplicates", "find", "load", "names", "shard_names"]


def __getattr__(name: str) -> object:
    """``counts`` and ``duplicates`` need pyarrow; a script that only looks for cards does not."""
    if name in ("counts", "duplicates"):
        from frontalbench.datasets import counting

        return getattr(counting, name)
    raise AttributeError(name)
