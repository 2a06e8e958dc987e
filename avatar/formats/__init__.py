"""Files that hold avatars and head models."""
