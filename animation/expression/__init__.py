"""Feelings: emotions, action units and named expressions, as blendshape weights over time."""
