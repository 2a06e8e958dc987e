"""Colours, icons and words."""
