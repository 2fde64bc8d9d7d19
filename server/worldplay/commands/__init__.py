"""Commands: one file for each, thin."""
