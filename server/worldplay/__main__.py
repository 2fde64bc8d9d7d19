"""`python -m worldplay`."""

from worldplay.cli import main

main()
