"""The workshop of animation: data, training and evaluation; nothing here runs while somebody talks."""
