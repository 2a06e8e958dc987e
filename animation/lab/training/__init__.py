"""Training of the learned parts. Nothing here is needed to run the program."""
