"""Keys have epochs: the time of an event picks one, rotation and destruction touch no old row."""

from __future__ import annotations

import copy
import hmac
import json
import os
import pickle
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from lake.keyring import KeyFile, next_midnight, read_keyring
from lake.protection import Protection
from lake.pseudonyms import HmacKey, Keyring, KeyringError, Secret, pseudonyms
from lake.records import REC_EVENTS
from lake.settings import load_settings
from orchestration.cli import app

FIRST, SECOND, THIRD = (f"{n}-a-key-of-the-tests-32-characters".encode() for n in range(3))
NOON = datetime(2026, 11, 16, 12, tzinfo=UTC)
RING = Keyring(
    (
        HmacKey("old", Secret(FIRST)),
        HmacKey("mid", Secret(SECOND), NOON),
        HmacKey("new", Secret(THIRD), NOON + timedelta(days=1)),
    )
)
HOUR = timedelta(hours=1)


def hashed(ring: Keyring, *events: tuple[str | None, datetime]) -> list[tuple[str, str]]:
    users = pa.chunked_array([pa.array([u for u, _ in events], pa.string())])
    times = pa.chunked_array([pa.array([t for _, t in events], pa.timestamp("us", tz="UTC"))])
    keys, epochs = pseudonyms(users, times, ring)
    return list(zip(keys.to_pylist(), epochs.to_pylist(), strict=True))


def ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def destroyed(ring: Keyring, epoch: str) -> Keyring:
    return Keyring(
        tuple(
            HmacKey(k.epoch, None if k.epoch == epoch else k.value, k.not_before) for k in ring.keys
        )
    )


@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.text(max_size=40), st.sampled_from(["a", "b"])),
            st.integers(-60, 60).map(lambda h: NOON + h * HOUR),
        ),
        max_size=12,
    ),
    st.sampled_from([b"k" * 32, b"k" * 64, b"k" * 65, b"k" * 200]),
)
def test_an_id_is_the_hmac_of_the_standard_under_the_key_of_its_time(events, key):
    ring = Keyring((HmacKey("1", Secret(key)), HmacKey("2", Secret(SECOND), NOON)))
    expected = [
        (None, None)
        if user is None
        else (hmac.digest(SECOND, user.encode(), "sha256").hex(), "2")
        if at >= NOON
        else (hmac.digest(key, user.encode(), "sha256").hex(), "1")
        for user, at in events
    ]
    assert hashed(ring, *events) == expected


def test_an_epoch_begins_with_its_first_microsecond():
    tick = timedelta(microseconds=1)
    epochs = [e for _, e in hashed(RING, ("u", NOON - tick), ("u", NOON), ("u", NOON + tick))]
    assert epochs == ["old", "mid", "mid"]
    assert [RING.at(t).epoch for t in (NOON - tick, NOON, NOON + 99 * HOUR)] == [
        "old",
        "mid",
        "new",
    ]


def test_one_user_is_one_in_an_epoch_and_somebody_else_in_the_next():
    names = hashed(RING, *[("u", NOON + n * HOUR) for n in (-2, -1, 1, 2, 30)])
    assert len({n for n, e in names if e == "old"}) == 1
    assert len({n for n, e in names if e == "mid"}) == 1
    assert len({n for n, _ in names}) == 3


def test_late_lines_get_the_key_of_their_time_and_rotation_touches_no_row(box, make):
    def line(n: int, at: datetime) -> bytes:
        return make.line("rec_events", {"event_id": f"e-{n}", "event_ts_ms": ms(at)})

    box.protection = Protection(Keyring.of(FIRST, "old"))
    box.land("rec_events/a.gz", make.file("rec_events", [line(1, NOON - HOUR)]))
    box.run(REC_EVENTS)
    before = box.rows(REC_EVENTS.identifier)
    box.protection = Protection(RING)
    assert box.run(REC_EVENTS).changes == ()
    assert box.rows(REC_EVENTS.identifier) == before
    # days later, with events of both epochs
    box.land("rec_events/b.gz", make.file("rec_events", [line(2, NOON - HOUR), line(3, NOON)]))
    box.run(REC_EVENTS)
    found = {
        e: (k, u)
        for e, k, u in box.sql("select event_id, key_epoch, user_key from {}", "bronze.rec_events")
    }
    assert found["e-1"] == found["e-2"] == ("old", hmac.digest(FIRST, b"user-0042", "sha256").hex())
    assert found["e-3"] == ("mid", hmac.digest(SECOND, b"user-0042", "sha256").hex())


def test_a_line_whose_key_is_destroyed_is_rejected_and_one_without_a_user_is_not(box, make):
    lines = [
        make.line("rec_events", {"event_id": "e-1", "event_ts_ms": ms(NOON - HOUR)}),
        make.line("rec_events", {"event_id": "e-2", "event_ts_ms": ms(NOON)}),
        b"",
        make.line("rec_events", {"event_id": "e-3", "event_ts_ms": ms(NOON - HOUR)}, ["user_id"]),
        make.line("rec_events", {"event_id": "e-4", "event_ts_ms": f" {ms(NOON - HOUR)}"}),
    ]
    box.protection = Protection(destroyed(RING, "old"))
    data = make.file("rec_events", lines)
    box.land("rec_events/a.gz", data)
    (done,) = box.run(REC_EVENTS).changes
    counts = (done.lines, done.accepted, done.rejected, done.header, done.blank)
    assert counts == (5, 2, 2, 0, 1)
    assert sorted(box.sql("select line, reason from {}", "ops.rejects")) == [
        (1, "key_destroyed"),
        (5, "key_destroyed"),
    ]
    for offset, length in box.sql("select byte_offset, byte_length from {}", "ops.rejects"):
        assert b'"event_id":"e-' in data[offset : offset + length]
    rows = box.sql("select event_id, key_epoch, user_key is null from {}", "bronze.rec_events")
    assert sorted(rows) == [("e-2", "mid", False), ("e-3", None, True)]


def test_without_its_key_nobody_can_be_told_again():
    ring = destroyed(RING, "old")
    with pytest.raises(KeyringError, match="epoch old: the key was destroyed"):
        hashed(ring, ("u", NOON - HOUR))
    with pytest.raises(KeyringError, match="epoch old: the key was destroyed"):
        hashed(ring, ("u", NOON - HOUR), ("u", NOON))
    assert hashed(ring, (None, NOON - HOUR)) == [(None, None)]


def test_a_rotation_begins_at_midnight_and_keys_are_new_and_private(tmp_path):
    file = KeyFile(tmp_path)
    first = file.read()
    now = datetime(2026, 11, 24, 13, 5, tzinfo=UTC)
    made = file.rotate(next_midnight(now), now)
    assert made.not_before == datetime(2026, 11, 25, tzinfo=UTC)
    ring = file.read()
    assert ring.keys == (*first.keys, made)
    assert len({k.value for k in ring.keys}) == 2
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert {p.name for p in file.path.parent.iterdir()} == {"hmac_keys.json", ".lock"}


@pytest.mark.parametrize("begins", [timedelta(0), -HOUR, HOUR])
def test_no_epoch_begins_in_the_past_or_before_another(tmp_path, begins):
    file = KeyFile(tmp_path)
    file.rotate(NOON + 2 * HOUR, NOON)
    with pytest.raises(KeyringError, match="rotate: expected an instant after"):
        file.rotate(NOON + begins, NOON)
    assert len(file.read().keys) == 2


def test_only_what_has_ended_is_destroyed_and_then_it_is_in_no_file(tmp_path):
    file = KeyFile(tmp_path)
    value = file.read().keys[0].value.reveal()
    file.rotate(NOON + HOUR, NOON)
    for epoch, at in (("1", NOON), ("2", NOON), ("2", NOON + 9 * HOUR)):
        with pytest.raises(KeyringError, match=f"epoch {epoch} has not ended"):
            file.destroy(epoch, at)
    with pytest.raises(KeyringError, match="no epoch '7'; expected one of 1, 2"):
        file.destroy("7", NOON)
    file.destroy("1", NOON + HOUR)
    assert [k.value is None for k in file.read().keys] == [True, False]
    assert not any(value in p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())
    file.destroy("1", NOON + HOUR)  # twice is once


def test_of_many_makers_one_makes_the_first_key(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        rings = list(pool.map(lambda _: KeyFile(tmp_path).read(), range(32)))
    assert len({r.keys[0].value for r in rings}) == 1
    code = (
        "import sys; from pathlib import Path; from lake.keyring import KeyFile; "
        "import hashlib; k = KeyFile(Path(sys.argv[1])).read().keys[0].value.reveal(); "
        "print(hashlib.sha256(k).hexdigest())"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "other")]
    children = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(3)]
    assert len({c.communicate()[0] for c in children}) == 1
    assert [c.returncode for c in children] == [0, 0, 0]


def test_of_many_rotations_none_is_lost(tmp_path):
    def rotate(n: int) -> None:
        for _ in range(60):
            try:
                KeyFile(tmp_path).rotate(NOON + n * HOUR, NOON)
            except KeyringError:  # a later one was first
                return
            else:
                return

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(rotate, range(1, 13)))
    ring = KeyFile(tmp_path).read()
    assert ring.keys[-1].not_before == NOON + 12 * HOUR
    assert [k.epoch for k in ring.keys] == [str(n + 1) for n in range(len(ring.keys))]


def test_a_key_from_before_there_were_epochs_is_the_first_one(tmp_path):
    earlier = tmp_path / "secrets/hmac_key"
    earlier.parent.mkdir()
    earlier.write_text("f" * 64)
    with ThreadPoolExecutor(4) as pool:
        rings = list(pool.map(lambda _: KeyFile(tmp_path).read(), range(8)))
    assert {r.keys for r in rings} == {(HmacKey("1", Secret(b"f" * 64)),)}
    assert not earlier.exists()


def test_a_key_file_that_others_may_read_is_refused(tmp_path):
    file = KeyFile(tmp_path)
    file.read()
    file.path.chmod(0o640)
    with pytest.raises(KeyringError, match=r"\(0600\), found 0640. Run: chmod 600"):
        file.read()


GOOD = {"epoch": "1", "not_before": None, "key": "canary-0123456789-0123456789-0123456789"}
NEXT = {**GOOD, "epoch": "2", "not_before": "2026-12-01T00:00:00Z", "key": "canary" * 9}


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ("canary{", "expected JSON"),
        ({"canary": 1}, "expected a list"),
        ([], "first epoch with not_before: null"),
        ([{**GOOD, "canary": 1}], "entry 1: expected epoch, not_before and key"),
        (["canary"], "entry 1: expected epoch"),
        ([{**GOOD, "epoch": "canary <b>"}], "entry 1: epoch: expected a name"),
        ([{**GOOD, "key": ["canary"]}], "entry 1: key: expected text"),
        ([{**GOOD, "key": "canary"}], "epoch 1: expected a key of at least 32 characters, found 6"),
        ([GOOD, {**NEXT, "not_before": "canary"}], "entry 2: not_before: expected null or"),
        ([GOOD, {**NEXT, "not_before": "2026-12-01T00:00:00"}], "each an instant with a zone"),
        ([GOOD, {**NEXT, "not_before": None}], "in order of not_before"),
        ([NEXT, GOOD], "first epoch with not_before: null"),
        ([GOOD, {**NEXT, "key": GOOD["key"]}], "every epoch and every key once"),
        ([GOOD, {**NEXT, "epoch": "1"}], "every epoch and every key once"),
    ],
)
def test_a_keyring_that_cannot_be_used_is_told_without_a_value(document, said):
    text = document if isinstance(document, str) else json.dumps(document)
    with pytest.raises(KeyringError, match=said) as told:
        read_keyring(text, "WEIR_HMAC_KEYS")
    assert "canary" not in str(told.value)
    assert told.value.__cause__ is None
    assert told.value.__suppress_context__ or told.value.__context__ is None


def test_keys_come_from_the_environment_where_it_has_any(tmp_path, monkeypatch):
    settings = load_settings({}, home=tmp_path / "home")
    text = json.dumps([GOOD, NEXT])
    monkeypatch.setenv("WEIR_HMAC_KEYS", text)
    assert [k.epoch for k in settings.keyring().keys] == ["1", "2"]
    (tmp_path / "keys.json").write_text(text)
    monkeypatch.setenv("WEIR_HMAC_KEYS", str(tmp_path / "keys.json"))
    assert settings.keyring() == read_keyring(text, "")
    monkeypatch.setenv("WEIR_HMAC_KEY", "x" * 32)
    with pytest.raises(KeyringError, match="found both"):
        settings.keyring()
    monkeypatch.delenv("WEIR_HMAC_KEYS")
    assert settings.keyring().keys == (HmacKey("1", Secret(b"x" * 32)),)
    monkeypatch.setenv("WEIR_HMAC_KEY", "short")
    with pytest.raises(KeyringError, match="at least 32 characters, found 5"):
        settings.keyring()
    assert not (tmp_path / "home").exists()


def test_neither_repr_nor_pickle_nor_a_failed_comparison_shows_a_key(tmp_path):
    for thing in (RING, RING.keys[0], RING.keys[0].value, Protection(RING)):
        assert "a-key-of-the-tests" not in f"{thing!r} {thing}"
        with pytest.raises(TypeError, match="a key is not pickled"):
            pickle.dumps(thing)
        with pytest.raises(TypeError, match="a key is not pickled"):
            copy.deepcopy(thing)
    test = tmp_path / "test_two_keys.py"
    test.write_text(
        "from lake.pseudonyms import Keyring\n"
        "def test_two():\n"
        "    assert Keyring.of(b'canary-' * 5) == Keyring.of(b'canary-' * 6)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-vv", "-p", "no:cacheprovider", "--tb=short", str(test)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert "1 failed" in ran.stdout
    assert "canary-canary" not in ran.stdout + ran.stderr


def test_the_command_rotates_and_destroys_and_shows_no_value(tmp_path, monkeypatch):
    def weir(*arguments: str) -> tuple[int, str]:
        given = ["keys", *arguments, "--dir", str(tmp_path)]
        done = CliRunner().invoke(app, given)
        return done.exit_code, done.output

    assert weir("list")[0] == 0
    code, text = weir("rotate", "--from", "2999-01-01T01:00:00+01:00", "--json")
    assert code == 0
    shown = json.loads(text)["keys"]
    assert [(k["epoch"], k["from"], k["until"], k["state"]) for k in shown] == [
        ("1", None, "2999-01-01T00:00:00Z", "in force"),
        ("2", "2999-01-01T00:00:00Z", None, "to come"),
    ]
    outputs = [text, weir("list")[1], weir("rotate", "--from", "yesterday")[1]]
    assert weir("destroy", "1")[0] == 2
    assert weir("destroy", "1", "--yes") == (
        2,
        "weir keys: destroy: epoch 1 has not ended; expected one that has. Rotate first, and wait "
        "until the next epoch has begun.\n",
    )
    for key in KeyFile(tmp_path).read().keys:
        assert not any(key.value.reveal().decode() in o for o in outputs)
    monkeypatch.setenv("WEIR_HMAC_KEY", "x" * 32)
    assert weir("rotate")[0] == 2
    assert "come from WEIR_HMAC_KEY" in weir("rotate")[1]
