"""Training Gaussians on pictures: gradients, losses, levels of detail, and the folders that hold the pictures."""
