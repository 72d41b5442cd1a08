"""Where keys are kept: a file under home that only its owner reads, or the environment.

Belongs here: reading, making, rotating and destroying keys. How they are used lives in
lake/pseudonyms.py. No function here shows a key, in a value, a log or an error.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from lake.pseudonyms import MIN_KEY_BYTES, HmacKey, Keyring, KeyringError


def key_of(text: str, epoch: str, where: str) -> bytes:
    """Return a key given as text; raises KeyringError when it is too short to protect anybody."""
    value = text.strip().encode()
    if len(value) < MIN_KEY_BYTES:
        raise KeyringError(
            f"{where}: epoch {epoch}: expected a key of at least {MIN_KEY_BYTES} characters, found "
            f"{len(value)}. Make one: python -c 'import secrets; print(secrets.token_hex(32))'"
        )
    return value


def kept_keyring(home: Path) -> Keyring:
    """Return the keys kept under home; the first is made once."""
    path = home / "secrets" / "hmac_key"
    if not path.exists():
        _make_key(path)
    return Keyring((HmacKey("1", key_of(path.read_text(), "1", str(path))),))


def _make_key(path: Path) -> None:
    """Make a key that appears whole or not at all; of two makers one wins."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as out:
        out.write(secrets.token_hex(32))
    with suppress(FileExistsError):
        os.link(beside, path)
    beside.unlink()
