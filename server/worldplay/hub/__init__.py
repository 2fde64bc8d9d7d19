"""Downloads published files."""
