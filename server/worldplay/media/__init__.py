"""Encodes video frames for browsers: H.264 samples in fragmented MP4."""
