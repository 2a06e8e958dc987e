"""Gradients through the CPU renderer, written by hand: the shipped kernels forward, these backward."""
