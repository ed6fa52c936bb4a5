"""The same work on plain folders, without the workflow."""
