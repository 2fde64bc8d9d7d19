"""The commands of `worldplay`: one thin file for each."""
