"""One's own face in the window: which source moves the avatar, and avatars from photos."""
