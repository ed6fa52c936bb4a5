"""Morphable face models (FLAME, Basel) read from the user's own file, and images drawn with them."""
