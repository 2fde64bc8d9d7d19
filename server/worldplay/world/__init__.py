"""Worlds: cameras, controls, memory, images and the rollout that joins them."""
