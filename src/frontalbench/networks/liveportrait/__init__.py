"""The five networks of LivePortrait (Guo et al. 2024, arXiv 2407.03168) and its perceptrons: their keys, their files, their sums."""
