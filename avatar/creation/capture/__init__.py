"""From photos and clips to avatars, and the tables that tracking needs, made from our own renders."""
