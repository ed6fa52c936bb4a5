"""Faces in sequences of pictures: followed from frame to frame (``tracks``), steadied (``smoothing``), measured over time (``overtime``)."""
