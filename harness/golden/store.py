"""Golden files: `expected/<same path>.yaml`, read strictly and written whole or not at all.

    trace: arm64/eight-steps
    source:
    - 86plkful48.wl-maz@kernel.org
    outcomes:
    - kernels: [v6.13 vhe, v6.13 nvhe]
      violations: [...]
      counts: {...}
      snapshots: {...}

Kernels on which the trace shows the same stand together.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import GeneratorType
from typing import Any

import yaml

from harness.dsl.nodes import Trace
from harness.errors import HarnessError
from harness.model.base import Tree
from harness.reading import read_regular
from harness.resources import display

try:
    from yaml import CSafeDumper as Dumper
    from yaml import CSafeLoader as Loader
except ImportError:  # PyYAML built without libyaml
    from yaml import SafeDumper as Dumper  # type: ignore[assignment]
    from yaml import SafeLoader as Loader  # type: ignore[assignment]

HEADING = """\
# Written by `kvm-replay run --update`. Read it line by line against the source
# it names before you commit it; correct the model, not this file.
"""

MAX_DEPTH = 20
MAX_BYTES = 4 << 20  # the project's own have up to 25 KB
MAX_BITS = 64  # of a number

Golden = dict[str, Tree]
"""What is expected, by label: `v6.13 vhe` -> the outcome."""


class GoldenError(HarnessError):
    """A golden file that cannot be used."""


_Plain = (str, int, float, list, dict, type(None), GeneratorType)


def _at(node: Any, problem: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)


class _Strict(Loader):
    """Refuses a key that stands twice in one mapping, keys that are not text, and odd values."""

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        try:
            value = super().construct_object(node, deep)
        except yaml.YAMLError:
            raise
        except ValueError as error:
            raise _at(node, str(error)) from None
        except (LookupError, AttributeError, TypeError, ArithmeticError) as error:
            # PyYAML takes what an explicit tag says at its word.
            kind = node.tag.rpartition(":")[2]
            raise _at(node, f"{node.value!r:.40} is not a valid {kind}") from error
        if isinstance(value, int) and value.bit_length() > MAX_BITS:
            raise _at(node, f"a number of more than {MAX_BITS} bits")
        if not isinstance(value, _Plain):
            kind = type(value).__name__
            raise _at(node, f"a {kind}; expected text, a number, a list or a mapping")
        return value

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.MarkedYAMLError(
                    problem=f"key {key!r} is no text; write it in quotes",
                    problem_mark=key_node.start_mark,
                )
            if key in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"key {key!r} stands here twice", problem_mark=key_node.start_mark
                )
            seen.add(key)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping


def golden_path(trace: Path) -> Path:
    """Where the golden file of the trace in this file belongs.

    `traces/arm64/x.trace` has it in `expected/arm64/x.yaml` beside `traces`, a
    trace that stands anywhere else has it at its side.
    """
    resolved = Path(os.path.realpath(trace))
    for parent in resolved.parents:
        if parent.name == "traces":
            below = resolved.relative_to(parent)
            return (parent.parent / "expected" / below).with_suffix(".yaml")
    return resolved.with_suffix(".yaml")


def load(path: Path) -> Golden | None:
    """The golden file in `path`, None if there is none. Raises GoldenError."""
    shown = display(path)
    try:
        text = read_regular(path, MAX_BYTES)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise GoldenError(f"{shown}: {error.strerror}") from None
    try:
        _look_over(text)
        document = yaml.load(text, Loader=_Strict)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        at = f"{shown}:{mark.line + 1}:{mark.column + 1}" if mark else shown
        raise GoldenError(f"{at}: {error.problem}") from None
    except (yaml.YAMLError, ValueError, TypeError) as error:
        why = str(error) or type(error).__name__
        raise GoldenError(f"{shown}: no YAML: {why.splitlines()[0]}") from None
    return _by_label(shown, document)


def _look_over(text: bytes) -> None:
    """Refuse aliases and deep nesting, which no golden file has, before anything is built."""
    depth = 0
    for event in yaml.parse(text, Loader=Loader):
        mark: Any = event.start_mark
        if isinstance(event, yaml.AliasEvent):
            raise yaml.MarkedYAMLError(
                problem=f"alias *{event.anchor}: a golden file has none", problem_mark=mark
            )
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise yaml.MarkedYAMLError(
                problem=f"nested more than {MAX_DEPTH} deep", problem_mark=mark
            )


def _by_label(shown: str, document: Any) -> Golden:
    def wrong(where: str, wanted: str, got: Any) -> GoldenError:
        name = {dict: "a mapping", list: "a list", str: "text", type(None): "nothing"}
        kind = name.get(type(got), type(got).__name__)
        return GoldenError(f"{shown}: {where}: expected {wanted}, got {kind}")

    if not isinstance(document, dict):
        raise wrong("document", "a mapping with `outcomes`", document)
    outcomes = document.get("outcomes")
    if not isinstance(outcomes, list):
        raise wrong("outcomes", "a list", outcomes)
    golden: Golden = {}
    for number, outcome in enumerate(outcomes):
        where = f"outcomes[{number}]"
        if not isinstance(outcome, dict):
            raise wrong(where, "a mapping", outcome)
        labels = outcome.get("kernels")
        if not isinstance(labels, list) or not all(isinstance(x, str) for x in labels):
            raise wrong(f"{where}.kernels", "a list of texts", labels)
        rest = {key: value for key, value in outcome.items() if key != "kernels"}
        for key, type_, name in (
            ("violations", list, "a list"),
            ("counts", dict, "a mapping"),
            ("snapshots", dict, "a mapping"),
        ):
            if key in rest and not isinstance(rest[key], type_):
                raise wrong(f"{where}.{key}", name, rest[key])
        for label in labels:
            if label in golden:
                raise GoldenError(f"{shown}: {where}: {label!r} stands here twice")
            golden[label] = rest
    return golden


def dump(trace: Trace, golden: Mapping[str, Tree]) -> str:
    """The text of a golden file."""
    groups: list[tuple[list[str], Tree]] = []
    for label, outcome in golden.items():
        for labels, same in groups:
            if same == outcome:
                labels.append(label)
                break
        else:
            groups.append(([label], outcome))
    source = [*trace.links, *(f"{d}, {who}: {what}" for d, who, what in trace.mails)]
    source += [f'{commit} ("{title}")' for commit, title in trace.commits]
    source += [f"recording {name}" for name in trace.recordings]
    document = {
        "trace": trace.id.encode("utf-8", "backslashreplace").decode(),
        "source": source,
        "outcomes": [{"kernels": labels, **outcome} for labels, outcome in groups],
    }
    body: str = yaml.dump(
        document, Dumper=Dumper, sort_keys=False, default_flow_style=False, width=96
    )
    return HEADING + body
