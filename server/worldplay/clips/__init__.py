"""Clips: from their options to a file."""
