"""What real kernels answered, held against the model."""
