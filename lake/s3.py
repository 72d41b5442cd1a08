"""S3 as the lake reaches it: the client, what may be tried again, and errors that say what to do.

Belongs here: boto3, retries, the words for what a store answered. Does not: keys and versions
(lake.s3_landing), or the warehouse, which pyiceberg's own file IO reads and writes.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    FlexibleChecksumError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
    ReadTimeoutError,
    ResponseStreamingError,
)
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from lake.locations import S3Access, StorageError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

T = TypeVar("T")

CONNECT_SECONDS = 10.0
READ_SECONDS = 60.0
#: a time-out has cost a minute already
_TIMEOUT_COSTS = 3
_TRY_AGAIN_CODES = frozenset(
    {"SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "RequestTimeoutException",
     "Throttling", "ThrottlingException", "RequestLimitExceeded", "BandwidthLimitExceeded",
     "OperationAborted", "503", "500"}
)  # fmt: skip
_BROKEN_WIRE = (
    HTTPClientError,
    IncompleteReadError,
    ResponseStreamingError,
    FlexibleChecksumError,
    ResponseParserError,  # a listing that was cut is no XML
    HTTPError,
    ConnectionError,
    TimeoutError,
)
_REMEDIES = {
    "NoSuchBucket": "There is no such bucket: look at WEIR_LANDING.",
    "AccessDenied": "The key may not: landing needs s3:ListBucket and s3:GetObject.",
    "403": "The key may not: landing needs s3:ListBucket and s3:GetObject.",
    "InvalidAccessKeyId": "Look at WEIR_S3_ACCESS_KEY_ID (or WEIR_LANDING_S3_ACCESS_KEY_ID).",
    "SignatureDoesNotMatch": "Look at WEIR_S3_SECRET_ACCESS_KEY, WEIR_S3_REGION and the clock.",
    "ExpiredToken": "The session token ran out: get a new one.",
    "PermanentRedirect": "The bucket is in another region: set WEIR_S3_REGION.",
}


class BadBytesError(Exception):
    """What came is not what the store says it holds: worth another try."""


@lru_cache(maxsize=8)
def client_of(access: S3Access, read_seconds: float = READ_SECONDS) -> S3Client:
    """Return the client of an access; made once, it costs a tenth of a second. Thread-safe.

    It tries nothing again by itself: `Retries` does, body reads included.
    """
    region = access.region or ("us-east-1" if access.endpoint else None)
    return boto3.Session().client(
        "s3",
        endpoint_url=access.endpoint,
        region_name=region,
        aws_access_key_id=access.access_key_id,
        aws_secret_access_key=access.secret_access_key,
        aws_session_token=access.session_token,
        config=Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=read_seconds,
            retries={"total_max_attempts": 1},
            max_pool_connections=32,
            response_checksum_validation="when_required",
            s3={"addressing_style": "virtual" if access.is_virtual else "path"},
        ),
    )


def code_of(error: ClientError) -> str:
    """Return the store's word for what went wrong, or the HTTP status."""
    return str(error.response.get("Error", {}).get("Code") or status_of(error))


def status_of(error: ClientError) -> int:
    """Return the HTTP status; 0 where there is none."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def is_missing(error: ClientError) -> bool:
    """Tell whether an object version is not there, or in an archive until it is restored.

    A bare 400 answers the question for the head of a key that the store would never take.
    """
    code = code_of(error)
    return code in ("InvalidObjectState", "400") or (
        status_of(error) in (404, 412) and code != "NoSuchBucket"
    )


def _may_pass(error: Exception) -> bool:
    """Tell whether the same request may succeed later."""
    if isinstance(error, ClientError):
        status = status_of(error)
        return status >= 500 or status == 429 or code_of(error) in _TRY_AGAIN_CODES
    return isinstance(error, (*_BROKEN_WIRE, BadBytesError))


def _in_words(error: Exception) -> str:
    """Return what came, without what a store or a key may have put into its message."""
    if isinstance(error, ClientError):
        return f"{status_of(error)} {code_of(error)}"
    return str(error) if isinstance(error, BadBytesError) else type(error).__name__


def _remedy(error: Exception) -> str:
    if isinstance(error, ClientError):
        return _REMEDIES.get(code_of(error), "See what the store says of it.")
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return (
            "No credentials were found: set WEIR_S3_ACCESS_KEY_ID and WEIR_S3_SECRET_ACCESS_KEY, "
            "or what the AWS credential chain reads."
        )
    return "Look at WEIR_S3_ENDPOINT and the network."


class Retries:
    """Tries again what may pass: jittered exponential waits, and a budget over all requests.

    A retry takes one from the budget, a success gives half of one back: a store that fails three
    requests of ten is worked through, one that is down is given up at once by all workers after
    the first. attempts: of one request without progress. Waits are seconds; thread-safe.
    """

    def __init__(
        self,
        attempts: int = 10,
        budget: float = 60,
        base: float = 0.1,
        most: float = 3.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._attempts = attempts
        self._full = budget
        self._left = budget
        self._base = base
        self._most = most
        self._sleep = sleep
        self._lock = threading.Lock()

    def call(
        self,
        what: str,
        do: Callable[[], T],
        progress: Callable[[], int] = lambda: 0,
        *,
        may_be_missing: bool = False,
    ) -> T:
        """Return what `do` gives; raises StorageError at once or when it stays broken.

        progress: grows while `do` gets on; attempts then count anew. may_be_missing: that an
        object is not there is raised as it came.
        """
        tries = failures = 0
        reached = progress()
        while True:
            try:
                result = do()
            except (BotoCoreError, ClientError, BadBytesError, *_BROKEN_WIRE) as err:
                if may_be_missing and isinstance(err, ClientError) and is_missing(err):
                    raise
                failures += 1
                if not _may_pass(err):
                    raise StorageError(f"{what}: {_in_words(err)}. {_remedy(err)}") from err
                if progress() > reached:
                    tries, reached = 0, progress()
                timed_out = isinstance(err, ReadTimeoutError | ConnectTimeoutError)
                tries += _TIMEOUT_COSTS if timed_out else 1
                if tries >= self._attempts or not self._take():
                    raise StorageError(
                        f"{what}: failed {failures} times, the last time with {_in_words(err)}. "
                        f"{_remedy(err)} What is loaded stays; the next ingest goes on from there."
                    ) from err
                self._sleep(self._wait(tries))
            else:
                self._give()
                return result

    def _wait(self, tries: int) -> float:
        most = min(self._most, self._base * 2 ** (tries - 1))
        return secrets.SystemRandom().uniform(0, most)

    def _take(self) -> bool:
        with self._lock:
            if self._left < 1:
                return False
            self._left -= 1
            return True

    def _give(self) -> None:
        with self._lock:
            self._left = min(self._full, self._left + 0.5)
