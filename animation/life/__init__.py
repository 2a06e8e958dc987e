"""What a face does besides speaking: blinks, gaze, head."""
