"""Recordings of real kernels: how to make them, and what is in them."""
