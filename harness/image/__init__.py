"""Reading kernel images: symbols, types, code. It knows nothing of the model."""

from harness.image.errors import ImageError
from harness.image.image import NVHE, Image
from harness.image.types import Enum, Member, Prototype, Struct, Symbol

__all__ = ["NVHE", "Enum", "Image", "ImageError", "Member", "Prototype", "Struct", "Symbol"]
