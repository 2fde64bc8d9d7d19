"""Measures the embedded world against its ground truth."""
