"""How a delimited text log is written: what separates its fields, quotes, comments and nulls.

Belongs here: what the `dialect` of a source file may say. Does not: reading such a log
(lake/formats/delimited.py) or guessing how one is written (lake/formats/dialects.py).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

#: what stands for nothing in every log
NULLS = ("-", "^", "")
WORDS = {"tab": "\t", "space": " ", "comma": ",", "semicolon": ";", "pipe": "|"}
#: `#` stands in place of lines that the reader must not see; quotes and line ends have a meaning
_NO_DELIMITERS = '#"\n\r\0'


def _delimiter(text: str) -> str:
    found = WORDS.get(text, text)
    if len(found) != 1 or not found.isascii() or found.isalnum() or found in _NO_DELIMITERS:
        raise ValueError(
            f"expected one ASCII character that is no letter, digit, quote or #, or one of "
            f"{', '.join(WORDS)}, found {text!r}; write what stands between two fields"
        )
    return found


def _comment(text: str) -> str:
    if text == "none":
        return ""
    if not text.isascii() or not text.isprintable() or not text.strip() or '"' in text:
        raise ValueError(
            f"expected what a line begins with that holds no record, like # or //, or none, found "
            f"{text!r}; write those characters alone"
        )
    return text


class Dialect(BaseModel):
    """The dialect of a delimited log. A header line or `fields` of the source names its columns."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    #: one character, or a word for it: tab, space, comma, semicolon, pipe
    delimiter: Annotated[str, AfterValidator(_delimiter)] = ","
    #: what may stand around a field (RFC 4180: doubled inside); with none it is text like any other
    quote: Literal['"', "none"] = '"'
    #: what a line begins with that holds no record; none where every line does
    comment: Annotated[str, AfterValidator(_comment), Field(max_length=4)] = "#"
    #: texts that stand for nothing, besides the empty one, - and ^
    nulls: Annotated[tuple[str, ...], Field(max_length=20)] = ()

    @property
    def is_quoted(self) -> bool:
        """Tell whether fields may be quoted."""
        return self.quote != "none"

    @property
    def all_nulls(self) -> tuple[str, ...]:
        """Return every text that stands for nothing."""
        return tuple(dict.fromkeys((*NULLS, *self.nulls)))
