"""Reading the format string of a server: nginx `log_format`, Apache `LogFormat`, `varnishncsa -F`.

Belongs here: the two syntaxes, with and without the directive around them. Does not: what a
variable means (the families) or how lines are read (lake/formats/template.py). Sources: the
documentation of ngx_http_log_module, mod_log_config and varnishncsa.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from lake.formats.template import Kind, Piece, Variable

_NGINX = re.compile(r"log_format\s+\S+\s+(?:escape=(?P<escape>\w+)\s+)?(?P<rest>.*)", re.DOTALL)
_NGINX_STRINGS = re.compile(r"'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"", re.DOTALL)
_NGINX_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_APACHE = re.compile(r'(?:LogFormat|-F)\s+(?:"((?:[^"\\]|\\.)*)"|\'([^\']*)\').*', re.DOTALL)
_APACHE_VARIABLE = re.compile(
    r"%(?:(?P<literal>%)|(?:!?\d{3}(?:,\d{3})*)?[<>]?(?:\{(?P<arg>[^}]*)\})?"
    r"(?P<letter>\^FB|\^t[io]|[A-Za-z]))"
)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED = {"t": "\t", "n": "", "r": ""}

#: what a variable is kept as and how far it reaches; a field of None is known and never kept
Names = Mapping[str, tuple[str | None, Kind]]


class LogFormatError(ValueError):
    """A format string that cannot be read: says what was expected, what was found, the remedy."""


def nginx(text: str, names: Names) -> tuple[Piece, ...]:
    """Return the pieces of a format of nginx, given bare or as the whole directive."""
    found = _NGINX.match(text.strip())
    if found and found["escape"] in ("json", "none"):
        raise LogFormatError(
            f"expected escape=default, found escape={found['escape']}: with it a quote inside a "
            "value cannot be told from the end of the value. Log escape=default, or whole JSON "
            "objects and a format that reads JSON."
        )
    if found:
        strings = _NGINX_STRINGS.findall(found["rest"])
        text = "".join(_ESCAPE.sub(_plain, one or other) for one, other in strings)
    return _pieces(text.strip("\n"), _NGINX_VARIABLE, names)


def apache(text: str, names: Names) -> tuple[Piece, ...]:
    """Return the pieces of a format of Apache or varnishncsa, given bare or as the directive."""
    found = _APACHE.match(text.strip())
    if found:
        text = _ESCAPE.sub(_plain, found[1]) if found[1] is not None else found[2]
    return _pieces(text.strip("\n"), _APACHE_VARIABLE, names)


def _plain(found: re.Match[str]) -> str:
    return _ESCAPED.get(found[1], found[1])


def _pieces(text: str, variable: re.Pattern[str], names: Names) -> tuple[Piece, ...]:
    pieces: list[Piece] = []
    taken: set[str] = set()
    end = 0
    for found in variable.finditer(text):
        pieces.append(text[end : found.start()])
        end = found.end()
        name = _name(found)
        field, kind = names.get(name, (None, Kind.WORD))
        if field in taken:  # of two that say the same the first counts
            field = None
        if field:
            taken.add(field)
        one = Variable(name, field, kind, is_known=name in names)
        pieces += ["[", one, "]"] if name == "%t" else ["%"] if name == "%%" else [one]
    pieces.append(text[end:])
    return tuple(_joined(_with_query([p for p in pieces if p != ""])))


def _with_query(pieces: list[Piece]) -> list[Piece]:
    """Return pieces with a path and the query right behind it as one, as they are one target."""
    found: list[Piece] = []
    for piece in pieces:
        before = found[-1] if found else ""
        if (
            isinstance(piece, Variable)
            and isinstance(before, Variable)
            and (before.field, piece.field) == ("path", "query")
        ):
            found[-1] = Variable(before.name + piece.name, "target", Kind.NAME)
        else:
            found.append(piece)
    return found


def _name(found: re.Match[str]) -> str:
    groups = found.groupdict()
    if "letter" not in groups:
        return f"${found[1] or found[2]}"
    if groups["literal"]:
        return "%%"
    argument = groups["arg"]
    return f"%{{{argument.lower()}}}{groups['letter']}" if argument else f"%{groups['letter']}"


def _joined(pieces: list[Piece]) -> list[Piece]:
    """Join literals that stand side by side."""
    joined: list[Piece] = []
    for piece in pieces:
        if isinstance(piece, str) and joined and isinstance(joined[-1], str):
            joined[-1] += piece
        else:
            joined.append(piece)
    return joined
