"""The timeline under a clip: its sound, and how it is to be performed."""
