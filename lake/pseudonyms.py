"""Pseudonyms: user ids become HMACs before the first write, each under the key of its time."""

from __future__ import annotations

import hmac
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NoReturn

import numpy as np
import numpy.typing as npt
import pyarrow as pa

#: RFC 2104 advises against keys shorter than the hash
MIN_KEY_BYTES = 32


class KeyringError(ValueError):
    """Keys that cannot be used: says which epoch, what was expected, what was found; no value."""


@dataclass(frozen=True)
class HmacKey:
    """The key of one epoch; never shown, logged, pickled or stored in a table.

    not_before: inclusive, the epoch lasts until the next one begins; None: since ever.
    value: None where the key was destroyed.
    """

    epoch: str
    value: bytes | None = field(repr=False)
    not_before: datetime | None = None

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key is not pickled: read the keys from the settings over there")


@dataclass(frozen=True)
class Keyring:
    """The keys of all epochs, oldest first; the first has no beginning."""

    keys: tuple[HmacKey, ...]

    def __post_init__(self) -> None:
        """Refuse what would hash one event under two keys or under none."""
        starts = [k.not_before for k in self.keys]
        if not self.keys or starts[0] is not None:
            raise KeyringError("keyring: expected a first epoch with not_before: null. Add it.")
        later = [s for s in starts[1:] if s is not None and s.tzinfo is not None]
        if len(later) != len(starts) - 1 or later != sorted(set(later)):
            raise KeyringError(
                "keyring: expected epochs in order of not_before, each an instant with a zone. "
                "Mend the order."
            )
        names = [k.epoch for k in self.keys]
        values = [k.value for k in self.keys if k.value is not None]
        if len(set(names)) != len(names) or len(set(values)) != len(values):
            raise KeyringError(
                "keyring: expected every epoch and every key once, found one twice. "
                "Give each epoch a key of its own."
            )

    @classmethod
    def of(cls, value: bytes, epoch: str = "1") -> Keyring:
        """Return a keyring of one epoch."""
        return cls((HmacKey(epoch, value),))

    @property
    def _starts(self) -> list[datetime]:
        return [k.not_before for k in self.keys[1:] if k.not_before is not None]

    def at(self, instant: datetime) -> HmacKey:
        """Return the key of the epoch that an instant lies in."""
        return self.keys[bisect_right(self._starts, instant)]

    def epochs_of(self, event_time: pa.ChunkedArray) -> npt.NDArray[np.intp]:
        """Return the number of the epoch of each event; event_time: timestamps in UTC."""
        if len(self.keys) == 1:
            return np.zeros(len(event_time), dtype=np.intp)
        micros = event_time.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).to_numpy()
        starts = pa.array(self._starts, pa.timestamp("us", tz="UTC")).cast(pa.int64()).to_numpy()
        found: npt.NDArray[np.intp] = np.searchsorted(starts, micros, side="right")
        return found

    def is_lost(self, event_time: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
        """Tell of each event whether the key of its epoch was destroyed."""
        return np.array([k.value is None for k in self.keys])[self.epochs_of(event_time)]


def pseudonyms(
    users: pa.ChunkedArray, event_time: pa.ChunkedArray, keyring: Keyring
) -> tuple[pa.Array, pa.Array]:
    """Return HMAC-SHA256 (hex) of each user id and the epoch of its key; null where no id is.

    Each distinct pair of epoch and id is hashed once. Events of a destroyed epoch must be gone.
    """
    encoded = users.combine_chunks().dictionary_encode()
    ids = encoded.dictionary.to_pylist()
    at = encoded.indices.fill_null(len(ids)).to_numpy().astype(np.int64)
    pairs, rows = np.unique(
        keyring.epochs_of(event_time) * (len(ids) + 1) + at, return_inverse=True
    )
    epochs, whose = np.divmod(pairs, len(ids) + 1)
    hashed: list[str | None] = []
    names: list[str | None] = []
    for epoch, who in zip(epochs.tolist(), whose.tolist(), strict=True):
        key = keyring.keys[epoch]
        hashed.append(None if who == len(ids) else _hmac(ids[who], key))
        names.append(None if who == len(ids) else key.epoch)
    taken = pa.array(rows)
    return pa.array(hashed, pa.string()).take(taken), pa.array(names, pa.string()).take(taken)


def _hmac(user: str, key: HmacKey) -> str:
    if key.value is None:
        raise KeyringError(f"epoch {key.epoch}: the key was destroyed, nothing can be hashed")
    return hmac.digest(key.value, user.encode(), "sha256").hex()


def shown(keys: Sequence[HmacKey]) -> list[tuple[str, datetime | None, bool]]:
    """Return epoch, beginning and whether there is a key: all that may be shown."""
    return [(k.epoch, k.not_before, k.value is not None) for k in keys]
