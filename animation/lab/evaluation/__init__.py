"""How well the shipped models do."""
