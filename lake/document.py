"""Where the records of a whole JSON document stand, as the APIs of vendors answer.

Belongs here: what the `document` of a source file may say, and finding records by it. Does not:
reading an object or judging its records (lake/documents.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pydantic import BaseModel, ConfigDict, Field

from lake.field_map import Path, keys_of


class MisplacedError(ValueError):
    """There is no list where the records should be; the text says what there is."""


class Document(BaseModel):
    """A document: the list its records are in, and what stands outside of it for all of them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    #: the list of records; lists on the way to it are gone through (zones, say)
    records: Path
    #: field that each record gets -> where its value stands, in the document or on the way
    keep: Mapping[str, Path] = Field(default_factory=dict)

    def found_in(self, whole: object) -> Iterator[object]:
        """Give the records of a document in their order; raises MisplacedError."""
        yield from self._below(whole, keys_of(self.records), (), {})

    def _below(
        self, here: object, rest: tuple[str, ...], done: tuple[str, ...], kept: dict[str, object]
    ) -> Iterator[object]:
        if isinstance(here, list):
            for one in here:
                if rest:
                    yield from self._below(one, rest, done, kept)
                else:
                    # what a record says itself stands over what stands outside
                    yield {**kept, **one} if isinstance(one, dict) else one
            return
        if not rest or not isinstance(here, dict):
            what = {dict: "an object", type(None): "nothing"}.get(type(here), "a value")
            at = ".".join(done) or "the top"
            raise MisplacedError(
                f"expected {'an object' if rest else 'a list'} at {at}, found {what}"
            )
        for name, path in self.keep.items():
            keys = keys_of(path)
            if keys[: len(done)] == done and (value := _at(here, keys[len(done) :])) is not None:
                kept = {**kept, name: value}
        yield from self._below(here.get(rest[0]), rest[1:], (*done, rest[0]), kept)


def _at(here: object, keys: tuple[str, ...]) -> object:
    for key in keys:
        if not isinstance(here, dict):
            return None
        here = here.get(key)
    return here if isinstance(here, str | int | float) else None
