"""What exists and what is asked for: cards, their params and families, the configuration. Never counts for results (cards count by themselves)."""
