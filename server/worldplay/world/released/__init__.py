"""The released HY-WorldPlay model."""
