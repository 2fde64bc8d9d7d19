"""Clips: from what is asked for to a file."""
