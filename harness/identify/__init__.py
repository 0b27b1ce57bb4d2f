"""What kernel an image is: the model's rules asked of it, and what that means for the traces."""

from harness.identify.corpus import Exposure, Judge, Leaf
from harness.identify.evidence import Finding, Identity, identify

__all__ = ["Exposure", "Finding", "Identity", "Judge", "Leaf", "identify"]
