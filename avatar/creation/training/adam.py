"""Adam for Gaussians: only those that a picture showed take a step.

Reference: Kingma and Ba, "Adam", 2015; left out for what was not seen as in Mallick et al., "Taming 3DGS", 2024: their moments
would decay and carry them on although nothing speaks for it.
"""
