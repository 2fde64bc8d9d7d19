"""The scene of the embedded world. It depends on no model."""
