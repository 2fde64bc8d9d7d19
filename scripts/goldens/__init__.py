"""The golden checker's parts: reading a directory of cases, running each kind, comparing."""
