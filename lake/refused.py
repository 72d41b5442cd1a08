"""The refusal of a whole object."""

from __future__ import annotations


class RefusedError(Exception):
    """An object that is refused whole; `reason` is a word, the text says what was found."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
