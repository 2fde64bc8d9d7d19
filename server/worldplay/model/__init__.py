"""Neural networks and their maths: the transformer, its KV cache, the scheduler and the VAE."""
