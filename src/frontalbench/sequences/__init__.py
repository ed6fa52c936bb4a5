"""Faces in sequences of images: followed from frame to frame (``tracks``), steadied (``smoothing``), measured over time (``overtime``)."""
