"""The command ``frontalbench``: a door to every script of the workflow, a working folder, a look at the machine, lists of cards."""
