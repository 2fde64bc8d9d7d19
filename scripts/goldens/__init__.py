"""Parts of the golden checker: reads cases, runs each kind, and compares the results."""
