"""Pseudonyms: user ids become HMACs before the first write, each under the key of its time."""

from __future__ import annotations

import hashlib
import hmac
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, NoReturn

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from hashlib import _Hash

#: RFC 2104 advises against keys shorter than the hash
MIN_KEY_BYTES = 32
_BLOCK = 64
_INNER, _OUTER = bytes(b ^ 0x36 for b in range(256)), bytes(b ^ 0x5C for b in range(256))


class KeyringError(ValueError):
    """Keys that cannot be used: says which epoch, what was expected, what was found; no value."""


class Secret:
    """Bytes that no repr, comparison, format or pickle shows."""

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        self._value = value

    def reveal(self) -> bytes:
        """Return the bytes: for hashing and for the file they are kept in."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value, other._value)

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key is not pickled: read the keys from the settings over there")


@dataclass(frozen=True)
class HmacKey:
    """The key of one epoch; never shown, logged, pickled or stored in a table.

    not_before: inclusive, the epoch lasts until the next one begins; None: since ever.
    value: None where the key was destroyed.
    """

    epoch: str
    value: Secret | None
    not_before: datetime | None = None


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
        return cls((HmacKey(epoch, Secret(value)),))

    @property
    def is_whole(self) -> bool:
        """Tell whether no key was destroyed."""
        return all(k.value is not None for k in self.keys)

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
    epochs = keyring.epochs_of(event_time)
    if not epochs.size or epochs.min() == epochs.max():
        key = keyring.keys[int(epochs[0]) if epochs.size else 0]
        hashed = pa.array(_hmacs(ids, key), pa.string()).take(encoded.indices)
        return hashed, pc.if_else(encoded.indices.is_valid(), key.epoch, pa.scalar(None))
    return _of_several_epochs(encoded, ids, epochs, keyring)


def _of_several_epochs(
    encoded: pa.DictionaryArray,
    ids: Sequence[str],
    epochs: npt.NDArray[np.intp],
    keyring: Keyring,
) -> tuple[pa.Array, pa.Array]:
    """Hash each distinct pair of epoch and id once."""
    nobody = len(ids)
    at = encoded.indices.fill_null(nobody).to_numpy().astype(np.int64)
    pairs, rows = np.unique(epochs * (nobody + 1) + at, return_inverse=True)
    of_pair, whose = np.divmod(pairs, nobody + 1)
    hashed: list[str | None] = []
    names: list[str | None] = []
    for epoch in np.unique(of_pair).tolist():  # pairs are in order of epochs
        key = keyring.keys[epoch]
        own = [None if w == nobody else ids[w] for w in whose[of_pair == epoch].tolist()]
        hashed += _hmacs(own, key)
        names += [None if u is None else key.epoch for u in own]
    taken = pa.array(rows)
    return pa.array(hashed, pa.string()).take(taken), pa.array(names, pa.string()).take(taken)


def _hmacs(users: Sequence[str | None], key: HmacKey) -> list[str | None]:
    """Return the HMAC-SHA256 (RFC 2104) of each id, in hex.

    The standard library's takes three times as long: it prepares the key for each id again.
    """
    if key.value is None:
        if any(u is not None for u in users):
            raise KeyringError(f"epoch {key.epoch}: the key was destroyed, nothing can be hashed")
        return [None] * len(users)
    inner, outer = _prepared(key.value)
    hashed: list[str | None] = []
    for user in users:
        if user is None:
            hashed.append(None)
            continue
        one, two = inner.copy(), outer.copy()
        one.update(user.encode())
        two.update(one.digest())
        hashed.append(two.hexdigest())
    return hashed


def _prepared(key: Secret) -> tuple[_Hash, _Hash]:
    """Return the inner and the outer hash with the key in them."""
    value = key.reveal()
    block = (value if len(value) <= _BLOCK else hashlib.sha256(value).digest()).ljust(_BLOCK, b"\0")
    return hashlib.sha256(block.translate(_INNER)), hashlib.sha256(block.translate(_OUTER))
