"""weir keys: the epochs of the keys that user ids are hashed with. No value is ever shown."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lake.keyring import KeyFile, next_midnight
from lake.pseudonyms import Keyring, KeyringError
from lake.settings import LakeSettings, load_settings
from orchestration.commands.output import console, iso, lines_safe, print_json, table


def list_keys(home: Path | None, now: datetime, *, as_json: bool) -> int:
    """Print the epochs: from when to when, and whether their key is there."""
    settings = load_settings(home=home)

    def show() -> None:
        _print(settings, settings.keyring(), now, as_json=as_json)

    return _told(show)


def rotate(home: Path | None, begins: str | None, now: datetime, *, as_json: bool) -> int:
    """Add a key for events from an instant on; the next UTC midnight where none is given."""
    settings = load_settings(home=home)

    def change() -> None:
        _own_file(settings).rotate(_instant(begins) if begins else next_midnight(now), now)
        _print(settings, settings.keyring(), now, as_json=as_json)

    return _told(change)


def destroy(home: Path | None, epoch: str, now: datetime, *, is_sure: bool, as_json: bool) -> int:
    """Destroy the key of an epoch that has ended."""
    settings = load_settings(home=home)

    def change() -> None:
        if not is_sure:
            raise KeyringError(
                f"destroy: expected --yes: without its key no user of epoch {epoch} can be told "
                "again, and events of its time that come late are rejected."
            )
        _own_file(settings).destroy(epoch, now)
        _print(settings, settings.keyring(), now, as_json=as_json)

    return _told(change)


def _told(work: Callable[[], None]) -> int:
    """Do it; an error of the keyring is told on stderr, 2."""
    try:
        work()
    except (KeyringError, OSError) as err:
        console(stderr=True).print(f"weir keys: {lines_safe(str(err))}", soft_wrap=True)
        return 2
    return 0


def _own_file(settings: LakeSettings) -> KeyFile:
    variable = settings.keys_kept_in
    if variable is not None:
        raise KeyringError(f"the keys come from {variable}: change them there, or unset it.")
    return KeyFile(settings.home)


def _instant(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise KeyringError(
            f"rotate: expected an instant with a zone like 2026-12-01T00:00:00Z, found {text!r}."
        )
    return found.astimezone(UTC)


def _print(settings: LakeSettings, keyring: Keyring, now: datetime, *, as_json: bool) -> None:
    rows = _rows(keyring, now)
    if as_json:
        print_json({"kept_in": settings.keys_kept_in or KeyFile(settings.home).path, "keys": rows})
        return
    columns = ("epoch", "from", "until", "state")
    cells = [[r[c] for c in columns] for r in rows]
    console().print(table("Keys of user ids", columns, cells))


def _rows(keyring: Keyring, now: datetime) -> list[dict[str, Any]]:
    current = keyring.at(now)
    ends = [k.not_before for k in keyring.keys[1:]] + [None]
    rows = []
    for key, end in zip(keyring.keys, ends, strict=True):
        begun = key.not_before is None or key.not_before <= now
        state = "in force" if key is current else "ended" if begun else "to come"
        rows.append(
            {
                "epoch": key.epoch,
                "from": iso(key.not_before) if key.not_before else None,
                "until": iso(end) if end else None,
                "state": "destroyed" if key.value is None else state,
            }
        )
    return rows
