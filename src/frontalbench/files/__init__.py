"""Files appear whole or not at all. Never counts for results."""
