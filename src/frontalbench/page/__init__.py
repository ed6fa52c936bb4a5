"""The pose page: one photograph, turned live. ``session`` is what it does, ``blocks`` what it looks like (needs the extra ``page``)."""
