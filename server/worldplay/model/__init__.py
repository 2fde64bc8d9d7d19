"""The neural networks and their arithmetic: the transformer, its KV cache, the scheduler and the VAE."""
