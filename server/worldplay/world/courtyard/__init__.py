"""The scene of the embedded world. It knows no model."""
