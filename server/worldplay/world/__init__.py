"""Worlds: cameras, steering, context, pictures, and the rollout that connects them."""
