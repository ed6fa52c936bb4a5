"""Published verification protocols: which pairs are compared, and how accuracy over folds is counted."""
