"""Reading kernel images: symbols, types, code. It knows nothing of the model."""

from harness.image.elf import MACHINES
from harness.image.errors import ImageError
from harness.image.image import Image
from harness.image.types import Enum, Member, Prototype, Struct, Symbol

__all__ = ["MACHINES", "Enum", "Image", "ImageError", "Member", "Prototype", "Struct", "Symbol"]
