"""A performance that can be saved, edited by hand and played again: emotions, keyframes, variations."""
