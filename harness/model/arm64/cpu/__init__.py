"""The CPU layer: what the Arm architecture says."""
