"""Measures how long a key press takes to the screen, in a real browser, against any running server."""
