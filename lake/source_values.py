"""Values of a source file that are well formed and still mean nothing: refused with the remedy.

Belongs here: places below landing, hosts of customers, lengths of time. Does not: which fields a
source file has (lake/source.py), or what does not go together with its format (lake/source_faults).
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator

from lake.publication import Duration

_PORT = re.compile(r"[^:]+:\d+")


def _below_landing(prefix: str) -> str:
    steps = prefix.split("/")
    if "://" in prefix or "\\" in prefix or prefix.startswith("/") or {".", ".."} & {*steps}:
        raise ValueError(
            f"expected a folder below landing like acme/, found {prefix!r}: nothing would ever be "
            "listed there; landing itself is WEIR_LANDING"
        )
    return prefix


def _host(text: str) -> str:
    if not text or _PORT.fullmatch(text) or re.search(r"[/*\s]", text):
        raise ValueError(
            f"expected a host as the log names it, like vod.example.org, found {text!r}: hosts are "
            "compared whole; write each without scheme, port, path or *"
        )
    return text


def _customer(text: str) -> str:
    if not text.strip() or text != text.strip():
        raise ValueError(
            f"expected the name of a customer, found {text!r}; write it without white space around"
        )
    return text


def _above_zero(length: timedelta) -> timedelta:
    if length <= timedelta(0):
        raise ValueError("expected a duration above zero like 5m or 1h, found none; write one")
    return length


Below = Annotated[str, AfterValidator(_below_landing)]
Host = Annotated[str, AfterValidator(_host)]
Customer = Annotated[str, AfterValidator(_customer)]
Length = Annotated[Duration, AfterValidator(_above_zero)]
