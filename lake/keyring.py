"""Where keys are kept: a file under home that only its owner reads, or the environment.

Belongs here: reading, making, rotating and destroying keys. How they are used lives in
lake/pseudonyms.py. No function here shows a key, in a value, a log or an error.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from lake.pseudonyms import MIN_KEY_BYTES, HmacKey, Keyring, KeyringError, Secret

_EPOCH = re.compile(r"[A-Za-z0-9._-]{1,40}")
_ENTRY = {"epoch", "not_before", "key"}
_EXAMPLE = '[{"epoch": "1", "not_before": null, "key": "..."}]'
_HOW = "python -c 'import secrets; print(secrets.token_hex(32))'"


def key_of(text: str, epoch: str, where: str) -> Secret:
    """Return a key given as text; raises KeyringError when it is too short to protect anybody."""
    value = text.strip().encode()
    if len(value) < MIN_KEY_BYTES:
        raise KeyringError(
            f"{where}: epoch {epoch}: expected a key of at least {MIN_KEY_BYTES} characters, found "
            f"{len(value)}. Make one: {_HOW}"
        )
    return Secret(value)


def read_keyring(text: str, where: str) -> Keyring:
    """Read a keyring from JSON; raises KeyringError, which names no value.

    A list of epochs, oldest first: epoch (its name), not_before (an instant with a zone; null for
    the first, which has no beginning) and key (null: destroyed).
    """
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError):
        raise KeyringError(f"{where}: expected JSON like {_EXAMPLE}, found none.") from None
    if not isinstance(entries, list):
        raise KeyringError(f"{where}: expected a list like {_EXAMPLE}, found no list.")
    keys = [_entry(e, n, where) for n, e in enumerate(entries, 1)]
    try:
        return Keyring(tuple(keys))
    except KeyringError as err:
        raise KeyringError(f"{where}: {err}") from None


def _entry(entry: object, number: int, where: str) -> HmacKey:
    what = f"{where}: entry {number}"
    if not isinstance(entry, dict) or set(entry) != _ENTRY:
        raise KeyringError(f"{what}: expected epoch, not_before and key, as in {_EXAMPLE}.")
    epoch, begins, key = entry["epoch"], entry["not_before"], entry["key"]
    if not isinstance(epoch, str) or not _EPOCH.fullmatch(epoch):
        raise KeyringError(f"{what}: epoch: expected a name of 1 to 40 letters, digits, . _ or -.")
    try:
        instant = None if begins is None else datetime.fromisoformat(begins)
    except (TypeError, ValueError):
        raise KeyringError(
            f"{what}: not_before: expected null or an instant like 2026-12-01T00:00:00Z."
        ) from None
    if not isinstance(key, str | None):
        raise KeyringError(f"{what}: key: expected text, or null for a destroyed key.")
    return HmacKey(epoch, None if key is None else key_of(key, epoch, where), instant)


class KeyFile:
    """The keyring kept under home: secrets/hmac_keys.json, mode 0600, replaced as a whole."""

    def __init__(self, home: Path) -> None:
        self.path = home / "secrets" / "hmac_keys.json"

    def read(self) -> Keyring:
        """Return the keys; the first is made once, of several makers one wins."""
        if not self.path.exists():
            self._make()
        mode = stat.S_IMODE(self.path.stat().st_mode)
        if mode & 0o077:
            raise KeyringError(
                f"{self.path}: expected a file that only its owner may read (0600), found "
                f"{mode:04o}. Run: chmod 600 {self.path}"
            )
        return read_keyring(self.path.read_text(encoding="utf-8"), str(self.path))

    def rotate(self, not_before: datetime, now: datetime) -> HmacKey:
        """Add an epoch that begins at an instant to come; return it.

        Rows already written are not touched, and late events of earlier times keep the key of
        their time: so an epoch cannot begin in the past.
        """
        with self._locked():
            keys = self.read().keys
            last = keys[-1]
            if not_before <= now:
                raise KeyringError(
                    f"rotate: expected an instant after now ({now.isoformat()}), found "
                    f"{not_before.isoformat()}: events before now may be written already."
                )
            if last.not_before is not None and not_before <= last.not_before:
                raise KeyringError(
                    f"rotate: expected an instant after epoch {last.epoch} begins "
                    f"({last.not_before.isoformat()}), found {not_before.isoformat()}."
                )
            taken = {k.epoch for k in keys}
            name = next(n for n in map(str, range(len(keys) + 1, 10**6)) if n not in taken)
            made = HmacKey(name, Secret(secrets.token_hex(32).encode()), not_before)
            self._write([*keys, made])
            return made

    def destroy(self, epoch: str, now: datetime) -> HmacKey:
        """Destroy the key of an epoch that has ended, for good; return what is left of it."""
        with self._locked():
            keys = self.read().keys
            at = next((n for n, k in enumerate(keys) if k.epoch == epoch), None)
            if at is None:
                known = ", ".join(k.epoch for k in keys)
                raise KeyringError(f"destroy: no epoch {epoch!r}; expected one of {known}.")
            end = keys[at + 1].not_before if at + 1 < len(keys) else None
            if end is None or end > now:
                raise KeyringError(
                    f"destroy: epoch {epoch} has not ended; expected one that has. Rotate first, "
                    "and wait until the next epoch has begun."
                )
            gone = replace(keys[at], value=None)
            self._write([*keys[:at], gone, *keys[at + 1 :]])
            return gone

    def _make(self) -> None:
        """Make the first key; it appears whole or not at all."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        earlier = self.path.with_name("hmac_key")  # one key without an epoch, as it once was
        try:
            first = key_of(earlier.read_text(encoding="utf-8"), "1", str(earlier))
        except FileNotFoundError:
            first = Secret(secrets.token_hex(32).encode())
        beside = self._beside([HmacKey("1", first)])
        with suppress(FileExistsError):
            os.link(beside, self.path)
        beside.unlink()
        earlier.unlink(missing_ok=True)

    def _write(self, keys: Sequence[HmacKey]) -> None:
        self._beside(keys).replace(self.path)

    def _beside(self, keys: Sequence[HmacKey]) -> Path:
        """Write keys into a private file beside the real one."""
        entries = [
            {
                "epoch": k.epoch,
                "not_before": k.not_before and k.not_before.isoformat(),
                "key": k.value and k.value.reveal().decode(),
            }
            for k in keys
        ]
        beside = self.path.with_name(f".{self.path.name}.{secrets.token_hex(8)}")
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            json.dump(entries, out, indent=2)
            out.flush()
            os.fsync(out.fileno())
        return beside

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Let one process at a time change the file."""
        self.read()  # the folder exists afterwards
        with self.path.with_name(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def next_midnight(now: datetime) -> datetime:
    """Return the next UTC midnight after an instant."""
    day = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return day + timedelta(days=1)
