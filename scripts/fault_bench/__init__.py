"""Does to a real server what may happen to it, and checks that nobody else notices."""

VICTIM_SEED = 13  # of walks that faults are meant for
