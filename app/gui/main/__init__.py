"""The main window and what runs it."""
