"""What is wrong with an image."""

from __future__ import annotations

from harness.errors import HarnessError


class ImageError(HarnessError):
    """A file that is no kernel image, that is damaged, or that lacks what is asked of it."""
