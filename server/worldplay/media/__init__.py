"""Turns video frames into the bytes that a browser plays: H.264 samples inside fragmented MP4."""
