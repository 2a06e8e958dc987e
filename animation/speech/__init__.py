"""From sound to mouth: the streaming speech model."""
