"""The entries of one DWARF unit, one after the other, with the few attributes that matter.

pyelftools decodes every attribute of an entry, which takes most of the time where
tens of thousands are only passed by. This goes forward only, whatever a damaged file says.
DWARF 5, section 7.5.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

from harness.image.errors import ImageError

_FIXED = {
    "DW_FORM_addr": 8,
    "DW_FORM_data1": 1,
    "DW_FORM_data2": 2,
    "DW_FORM_data4": 4,
    "DW_FORM_data8": 8,
    "DW_FORM_data16": 16,
    "DW_FORM_flag": 1,
    "DW_FORM_flag_present": 0,
    "DW_FORM_implicit_const": 0,
    "DW_FORM_ref1": 1,
    "DW_FORM_ref2": 2,
    "DW_FORM_ref4": 4,
    "DW_FORM_ref8": 8,
    "DW_FORM_ref_addr": 4,
    "DW_FORM_ref_sig8": 8,
    "DW_FORM_ref_sup4": 4,
    "DW_FORM_ref_sup8": 8,
    "DW_FORM_sec_offset": 4,
    "DW_FORM_strp": 4,
    "DW_FORM_line_strp": 4,
    "DW_FORM_strp_sup": 4,
    "DW_FORM_strx1": 1,
    "DW_FORM_strx2": 2,
    "DW_FORM_strx3": 3,
    "DW_FORM_strx4": 4,
    "DW_FORM_addrx1": 1,
    "DW_FORM_addrx2": 2,
    "DW_FORM_addrx3": 3,
    "DW_FORM_addrx4": 4,
    "DW_FORM_GNU_ref_alt": 4,
    "DW_FORM_GNU_strp_alt": 4,
}
_LEB = {
    "DW_FORM_udata",
    "DW_FORM_sdata",
    "DW_FORM_ref_udata",
    "DW_FORM_strx",
    "DW_FORM_addrx",
    "DW_FORM_loclistx",
    "DW_FORM_rnglistx",
}
_BLOCKS = {"DW_FORM_block1": "<B", "DW_FORM_block2": "<H", "DW_FORM_block4": "<I"}
_WANTED = {
    "DW_AT_name": "name",
    "DW_AT_low_pc": "low",
    "DW_AT_declaration": "declared",
    "DW_AT_sibling": "sibling",
    "DW_AT_abstract_origin": "origin",
}
_NUMBERS = {1: "<B", 2: "<H", 4: "<I", 8: "<Q"}

Plan = tuple[str, bool, list[tuple[str, str, int, int]]]


class Entry(NamedTuple):
    """One entry: where it is in .debug_info and how deep, and what is known of it.

    `found` has raw values: a reference is relative to the unit, and a name is `strp` (an
    offset in .debug_str), `here` (one in the unit) or `name` (in a form to be asked for).
    """

    offset: int
    depth: int
    tag: str
    found: dict[str, int]


class Entries:
    """The entries of one unit. `data` is its bytes, from its header on, `start` their offset."""

    def __init__(self, cu: Any, data: bytes, start: int) -> None:
        if cu.header.address_size != 8 or cu.structs.dwarf_format != 32:
            raise ImageError("DWARF of another form than that of 64-bit kernels")
        self.cu, self.data, self.start = cu, data, start
        self._plans: dict[int, Plan] = {}

    def below(self, offset: int, deep: bool) -> Iterator[Entry]:
        """The entries below the one at `offset` (its children alone if not `deep`)."""
        start, end = self.start, len(self.data)
        _, has_children, at, _ = self._read(offset - start)
        depth = 1 if has_children else 0
        while depth and at < end:
            here = at
            tag, has_children, at, found = self._read(here)
            if not tag:
                depth -= 1
                continue
            if depth == 1 or deep:
                yield Entry(here + start, depth, tag, found)
            if has_children:
                target = found.get("sibling", 0)
                if not deep and at <= target < end:
                    at = target
                else:
                    depth += 1

    def _read(self, at: int) -> tuple[str, bool, int, dict[str, int]]:
        data = self.data
        code, at = self._leb(at)
        if not code:
            return "", False, at, {}
        plan = self._plans.get(code)
        if plan is None:
            plan = self._plans[code] = self._plan(code)
        tag, has_children, steps = plan
        found = {}
        for key, form, size, constant in steps:
            if size >= 0:
                if key:
                    found[key] = (
                        int.from_bytes(data[at : at + size], "little") if size else constant
                    )
                at += size
            elif form in _LEB:
                value, at = self._leb(at)
                if key:
                    found[key] = value
            elif form == "DW_FORM_string":
                if key:
                    found["here"] = at
                stop = data.find(b"\0", at)
                if stop < 0:
                    raise ImageError("its DWARF has a string without an end")
                at = stop + 1
            elif form in _BLOCKS:
                layout = _BLOCKS[form]
                (count,) = struct.unpack_from(layout, data, at)
                at += struct.calcsize(layout) + count
            else:  # a block, or an expression
                count, at = self._leb(at)
                at += count
        return tag, has_children, at, found

    def _plan(self, code: int) -> Plan:
        declared = self.cu.get_abbrev_table().get_abbrev(code)
        steps = []
        for spec in declared.decl["attr_spec"]:
            form = spec.form
            known = form in _FIXED or form in _LEB or form in _BLOCKS
            if not known and form not in ("DW_FORM_string", "DW_FORM_block", "DW_FORM_exprloc"):
                raise ImageError(f"its DWARF has a form that is not known here ({form})")
            constant = 1 if form == "DW_FORM_flag_present" else 0
            key = _WANTED.get(spec.name, "")
            if key == "name" and form == "DW_FORM_strp":
                key = "strp"
            steps.append((key, form, _FIXED.get(form, -1), constant))
        # What is only passed by is passed by at once.
        merged: list[tuple[str, str, int, int]] = []
        for step in steps:
            if merged and step[2] >= 0 and not step[0] and merged[-1][2] >= 0 and not merged[-1][0]:
                merged[-1] = ("", "", merged[-1][2] + step[2], 0)
            else:
                merged.append(step)
        return str(declared["tag"]), bool(declared.has_children()), merged

    def _leb(self, at: int) -> tuple[int, int]:
        data, value, shift = self.data, 0, 0
        while shift < 70:
            if at >= len(data):
                raise ImageError("its DWARF is cut off")
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value, at
            shift += 7
        raise ImageError("its DWARF has a number without an end")
