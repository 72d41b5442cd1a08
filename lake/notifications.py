"""S3 event notifications as hints: which keys may be new. The listing stays the truth.

An event says that something happened, not that it is still so: keys are looked up before they are
believed. Takes S3's own JSON, and the same inside SQS, SNS and EventBridge envelopes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote_plus

from lake.locations import LocationError, S3Location

#: an SQS message has 256 KiB; what a person collects in a file has more
MAX_BYTES = 64 * 1024 * 1024
_MAX_KEY_BYTES = 1024
_MAX_DEPTH = 8


class NotificationError(LocationError):
    """Something that is no event of this landing: says what was expected and what was found."""


def hinted_keys(text: str, location: S3Location) -> list[str]:
    """Return the keys, as landing names them, of objects that an event says were created.

    text: one JSON document, or several one after the other. Raises NotificationError for what is
    no S3 event and for another bucket; keys of the bucket outside landing are left out.
    """
    if len(text) > MAX_BYTES:
        raise NotificationError(
            f"{len(text):,} characters of events; expected at most {MAX_BYTES:,}. Split them, or "
            "run an ingest without hints: it lists landing."
        )
    keys: dict[str, None] = {}
    for document in _documents(text):
        for bucket, key in _created(document, 0):
            if bucket != location.bucket:
                raise NotificationError(
                    f"an event of the bucket {bucket[:80]!r}; expected {location.bucket!r}, where "
                    "landing is. Look at where the events come from."
                )
            if key.startswith(location.prefix) and not key.endswith("/"):
                keys[key.removeprefix(location.prefix)] = None
    return list(keys)


def _documents(text: str) -> Iterator[object]:
    decoder, at = json.JSONDecoder(), 0
    text = text.lstrip("\ufeff")
    while (at := len(text) - len(text[at:].lstrip())) < len(text):
        try:
            document, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as err:
            raise NotificationError(
                f"no JSON at character {at + 1}; expected S3 event notifications."
            ) from err
        yield document


def _created(document: object, depth: int) -> Iterator[tuple[str, str]]:
    """Give bucket and key of every object that was created."""
    if depth > _MAX_DEPTH:
        raise NotificationError(f"an event within {_MAX_DEPTH} envelopes; expected S3's own form.")
    event = _object(document, "an event")
    if event.get("Event") == "s3:TestEvent":  # sent once when notifications are set up
        return
    if event.get("source") == "aws.s3" and "detail" in event:  # EventBridge
        if event.get("detail-type") == "Object Created":
            detail = _object(event["detail"], "detail")
            # keys in EventBridge are not url-encoded
            yield _bucket(detail), _key(_object(detail.get("object"), "object").get("key"))
        return
    inner = event.get("Message", event.get("body", event.get("Body")))  # SNS, SQS
    if inner is not None and "Records" not in event:
        yield from _created(_inner(inner), depth + 1)
        return
    records = event.get("Records", event.get("Messages"))
    if not isinstance(records, list):
        raise NotificationError(
            f"no Records in an event with {sorted(map(str, event))[:8]}; expected S3's form."
        )
    for record in records:
        yield from _of_record(_object(record, "a record"), depth)


def _of_record(record: Mapping[str, Any], depth: int) -> Iterator[tuple[str, str]]:
    if "s3" not in record and ("body" in record or "Body" in record or "Sns" in record):
        inner = record.get("Sns") or record.get("body") or record.get("Body")
        yield from _created(_inner(inner), depth + 1)
        return
    source = record.get("eventSource")
    if not isinstance(source, str) or not source.endswith(":s3"):
        raise NotificationError(
            f"a record of {str(source)[:80]!r}; expected one of aws:s3. Only S3 may give hints."
        )
    name = str(record.get("eventName", "")).removeprefix("s3:")
    if not name.startswith("ObjectCreated:"):
        return  # a deletion is no news: nothing of a loaded delivery is lost with its object
    s3 = _object(record.get("s3"), "s3")
    yield _bucket(s3), _key(_object(s3.get("object"), "object").get("key"), is_encoded=True)


def _inner(text: object) -> object:
    if not isinstance(text, str):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as err:
        raise NotificationError("a message whose body is no JSON; expected an S3 event.") from err


def _object(value: object, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise NotificationError(f"{name} is {type(value).__name__}; expected a JSON object.")
    return value


def _bucket(holder: Mapping[str, Any]) -> str:
    name = _object(holder.get("bucket"), "bucket").get("name")
    if not isinstance(name, str):
        raise NotificationError("a record without a bucket; expected bucket.name.")
    return name


def _key(key: object, *, is_encoded: bool = False) -> str:
    if not isinstance(key, str) or not key:
        raise NotificationError("a record without a key; expected object.key.")
    try:
        key = unquote_plus(key, errors="strict") if is_encoded else key
        size = len(key.encode())
    except UnicodeError as err:
        raise NotificationError("a key that is no Unicode text; expected UTF-8.") from err
    if size > _MAX_KEY_BYTES:
        raise NotificationError(f"a key of {size:,} bytes; S3 has at most {_MAX_KEY_BYTES:,}.")
    return key
