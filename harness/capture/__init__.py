"""Recordings of real kernels: read, made into stimuli, held against the model."""
