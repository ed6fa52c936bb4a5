"""Morphable face models (FLAME, Basel) read from the user's own file, and pictures drawn with them."""
