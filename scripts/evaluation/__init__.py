"""Compares the embedded world with its true pictures."""
