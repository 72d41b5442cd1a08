"""Reading a source file so that every error names file, line, field and remedy.

Belongs here: YAML with its line numbers, and pydantic's errors in the words of the file's author.
Does not: what a source may say (lake/source.py). Anchors are refused: a file of this size needs
none, and a few lines of them can unfold into gigabytes.
"""

from __future__ import annotations

import difflib
import typing
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

_MAX_BYTES = 256 * 1024
_MAX_DEPTH = 12
_SHOWN = 60
_SEE = "`weir source schema` prints what a source file may say"
#: error type of pydantic -> what it expected
_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "decimal_type": "a number",
    "decimal_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "tuple_type": "a list like [a, b]",
    "list_type": "a list like [a, b]",
    "mapping_type": "a map like {key: value}",
    "dict_type": "a map like {key: value}",
    "model_type": "a map like {key: value}",
    "model_attributes_type": "a map like {key: value}",
}

Place = tuple[int | str, ...]


class SourceError(ValueError):
    """A source file that cannot be used: says which, where, what was expected and the remedy."""


@dataclass(frozen=True)
class Fault:
    """Something wrong in a file: where, and a sentence that says what is and what should be."""

    field: Place
    said: str


class Document:
    """A YAML file: its value, and the line that each part of it stands in."""

    def __init__(self, name: str, data: bytes) -> None:
        """Read it; raises SourceError for what is no plain YAML."""
        self.name = name
        text = self._decoded(data)
        self._lines: dict[Place, int] = {(): 1}
        try:
            self._require_plain(text)
            loader = yaml.SafeLoader(text)
            try:
                node = loader.get_single_node()
                if node is not None:
                    self._index(node, ())
                self.value: Any = loader.construct_document(node) if node is not None else None
            finally:
                loader.dispose()
        except yaml.MarkedYAMLError as err:
            mark = err.problem_mark or err.context_mark
            said = f"expected YAML, found: {err.problem or err.context}"
            remedy = "Indent by blanks, not by tabs." if "'\\t'" in said else "Mend it."
            raise self._error(mark.line + 1 if mark else 1, "file", f"{said}. {remedy}") from err
        except (yaml.YAMLError, ValueError, RecursionError) as err:
            if isinstance(err, SourceError):
                raise
            said = str(err).partition("\n")[0]
            raise self._error(1, "file", f"expected YAML, found: {said}. Mend it.") from err

    def line_of(self, place: Place) -> int:
        """Return the line of a part, or of the nearest one around it."""
        while place not in self._lines:
            place = place[:-1]
        return self._lines[place]

    def errors(self, faults: Iterable[Fault]) -> SourceError:
        """Return one error that names all faults, in the order of their lines."""
        found = sorted(faults, key=lambda f: self.line_of(f.field))
        return SourceError(
            "\n".join(
                f"{self.name}:{self.line_of(f.field)}: {field_name(f.field)}: {f.said}"
                for f in found
            )
        )

    def _error(self, line: int, field: str, said: str) -> SourceError:
        return SourceError(f"{self.name}:{line}: {field}: {said}")

    def _decoded(self, data: bytes) -> str:
        if len(data) > _MAX_BYTES:
            raise self._error(
                1, "file", f"expected at most {_MAX_BYTES} bytes, found {len(data)}. Is it a log?"
            )
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError as err:
            line = data[: err.start].count(b"\n") + 1
            raise self._error(
                line,
                "file",
                f"expected UTF-8, found the byte 0x{data[err.start]:02x}. Save the file as UTF-8.",
            ) from err

    def _require_plain(self, text: str) -> None:
        depth = 0
        for event in yaml.parse(text, yaml.SafeLoader):
            line = event.start_mark.line + 1 if event.start_mark else 1
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
                raise self._error(
                    line, "file", "expected plain values, found an anchor. Write the value out."
                )
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            if depth > _MAX_DEPTH:
                raise self._error(
                    line, "file", f"expected at most {_MAX_DEPTH} levels, found more. Mend it."
                )

    def _index(self, node: yaml.Node, place: Place) -> None:
        if isinstance(node, yaml.SequenceNode):
            for number, item in enumerate(node.value):
                self._lines[*place, number] = item.start_mark.line + 1
                self._index(item, (*place, number))
        elif isinstance(node, yaml.MappingNode):
            for key, item in node.value:
                at = (*place, str(key.value))
                line = key.start_mark.line + 1
                if at in self._lines:
                    raise self._error(
                        line,
                        field_name(at),
                        f"expected it once, found it in line {self._lines[at]} too. "
                        "Remove one of them.",
                    )
                self._lines[at] = line
                self._index(item, at)


def field_name(place: Place) -> str:
    """Return a place as its author would say it: map.host.from[0]."""
    name = ""
    for part in place:
        name += f"[{part}]" if isinstance(part, int) else f".{part}" if name else _shown_key(part)
    return name or "file"


def _shown_key(key: str) -> str:
    return key if key.isprintable() and len(key) <= _SHOWN else repr(key)[:_SHOWN]


def faults_of(error: ValidationError, model: type[BaseModel]) -> list[Fault]:
    """Return pydantic's errors as sentences."""
    return [Fault(tuple(e["loc"]), _sentence(e, model)) for e in error.errors()]


def _sentence(error: ErrorDetails, model: type[BaseModel]) -> str:
    place, kind = tuple(error["loc"]), error["type"]
    found = _shown(error["input"])
    if kind == "missing":
        name = place[-1] if place else "a value"
        return f"expected a value, found none. Add `{name}: ...`; {_SEE}."
    if kind == "extra_forbidden":
        known = _fields_at(model, place[:-1])
        near = nearest(str(place[-1]), known)
        hint = f"Did you mean `{near}`?" if near else f"Remove it; {_SEE}."
        return f"expected one of {', '.join(sorted(known))}, found a name that is none. {hint}"
    if kind == "value_error":
        said = error["msg"].removeprefix("Value error, ")
        return f"{said}." if not said.endswith((".", "?")) else said
    if kind == "literal_error":
        expected = str(error["ctx"]["expected"]).replace("'", "").replace(" or ", ", ")
        words = expected.split(", ")
        near = nearest(str(error["input"]), words)
        hint = f"Did you mean `{near}`?" if near else "Use one of them."
        return f"expected one of {expected}, found {found}. {hint}"
    if kind == "string_pattern_mismatch":
        return (
            f"expected {_a_name(error)}, found {found}. "
            "Use lower-case letters, digits and underscores."
        )
    expected = _EXPECTED.get(kind) or error["msg"].removeprefix("Input should be ").rstrip(".")
    return f"expected {expected}, found {found}. Correct the value; {_SEE}."


def nearest(name: str, known: Sequence[str]) -> str | None:
    """Return the known name that a wrong one most looks like, None where none does."""
    same = [k for k in known if k.lower() == name.lower()]
    near = same or difflib.get_close_matches(name, known, 1, 0.6)
    return near[0] if near else None


def _a_name(error: ErrorDetails) -> str:
    return f"text like {error['ctx']['pattern']}"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _fields_at(model: type[BaseModel], place: Place) -> list[str]:
    """Return the names that may stand at a place of a model."""
    here: type[BaseModel] | None = model
    for part in place:
        if here is None or not isinstance(part, str):
            break
        found = here.model_fields.get(part)
        here = _model_in(found.annotation) if found is not None else None
    if here is None:
        return []
    return [f.alias or name for name, f in here.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in typing.get_args(annotation):
        found = _model_in(inner)
        if found is not None:
            return found
    return None


def read_document(path: Path) -> Document:
    """Read a file; raises SourceError, with its name alone, for what is no plain YAML."""
    try:
        with path.open("rb") as stream:
            data = stream.read(_MAX_BYTES + 1)
    except OSError as err:
        raise SourceError(
            f"{path.name}: expected a file that can be read, found {err.strerror}. "
            "Check the name and its permissions."
        ) from err
    return Document(path.name, data)
