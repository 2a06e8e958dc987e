"""The panels beside and under the picture."""
