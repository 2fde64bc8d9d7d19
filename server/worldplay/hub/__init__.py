"""Fetches published files."""
