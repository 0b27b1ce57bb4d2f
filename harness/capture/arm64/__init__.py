"""What recordings of an arm64 kernel mean."""
