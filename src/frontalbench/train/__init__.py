"""Training, on people who do not exist. Nothing of a run of the grid imports this; the rules are in ``rules/train.smk``."""
