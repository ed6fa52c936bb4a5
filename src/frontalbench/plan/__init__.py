"""What Snakemake is told: the grid, paths, fingerprints. Never counts for results."""
