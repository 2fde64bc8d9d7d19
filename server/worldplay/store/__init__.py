"""Keeps walks where the operator says, so that they outlive their process."""
