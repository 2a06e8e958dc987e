"""The picture of the avatar in the window."""
