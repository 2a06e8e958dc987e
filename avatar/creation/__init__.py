"""The workshop of avatars: what makes them and never runs while somebody talks."""
