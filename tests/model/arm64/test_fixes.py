"""The catalogue's kernels of distributions: arm64 alone has some."""

from __future__ import annotations

import pytest

from harness.model.arm64.fixes import CATALOGUE
from harness.model.catalogue import KernelError


def test_a_hybrid_can_be_changed_and_sorted_as_a_release() -> None:
    """`debian-6.1.192-ID` lacks a fix, and stands where its base stands."""
    whole = CATALOGUE.kernel("debian-6.1.192")
    assert CATALOGUE.kernel("debian-6.1.192-eager-zcr").fixes == whole.fixes - {"eager-zcr"}
    assert CATALOGUE.kernel("debian-6.1.192+75c76ab5a641").fixes == whole.fixes | {"cptr-reset"}
    names = ["v6.2", "debian-6.1.192", "v6.1", "v6.0"]
    assert sorted(names, key=CATALOGUE.order) == ["v6.0", "v6.1", "debian-6.1.192", "v6.2"]


@pytest.mark.parametrize("spec", ["debian-6.1.1920", "debian-6.1.19", "debian-6.1", "debian"])
def test_an_unknown_hybrid_is_refused(spec: str) -> None:
    """A name that only begins like a hybrid's is no kernel, and the message lists what is."""
    with pytest.raises(KernelError, match=r"unknown kernel .*v7.3, debian-5.10.223"):
        CATALOGUE.kernel(spec)
