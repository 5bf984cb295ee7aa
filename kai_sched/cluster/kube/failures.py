"""What the API server's refusals mean: HTTP status and Status document to ``ApiFailure``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import orjson

from kai_sched.cluster.ports import Document
from kai_sched.errors import ApiFailure
from kai_sched.model.integers import parse_int64

_RETRYABLE: Final = frozenset({0, 408, 429, 500, 502, 503, 504})
"""The call may pass later as it is. 409 is not here: its object must be read again first."""
_TEXT_SHOWN: Final = 500
_LONGEST_PAUSE_SECONDS: Final = 300.0
"""Of what an answer asks for: it may come from something in between."""


def failure_of(method: str, path: str, status: int, body: bytes, headers: Mapping[str, str]) -> ApiFailure:
    """The failure that an answer of 400 or more tells of."""
    document = _status_document(body)
    message = str(document.get("message") or body[:_TEXT_SHOWN].decode(errors="replace") or "no message")
    return ApiFailure(
        f"{method} {path}: {status} {message}",
        status=status,
        reason=str(document.get("reason") or ""),
        retryable=status in _RETRYABLE,
        retry_after_seconds=_seconds(headers.get("Retry-After")),
    )


def failure_in_stream(path: str, status: Document) -> ApiFailure:
    """The failure that an ERROR event of a watch tells of."""
    code = int(status.get("code") or 0)
    return ApiFailure(
        f"WATCH {path}: {code} {status.get('message') or 'no message'}",
        status=code,
        reason=str(status.get("reason") or ""),
        retryable=True,
    )


def no_answer(method: str, path: str, cause: BaseException) -> ApiFailure:
    """The server could not be reached, or the connection broke before its answer was whole."""
    text = str(cause) or type(cause).__name__
    return ApiFailure(f"{method} {path}: no answer: {text}", status=0, reason="NoAnswer", retryable=True)


def _status_document(body: bytes) -> Document:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return document if isinstance(document, dict) else {}


def _seconds(header: str | None) -> float | None:
    seconds = parse_int64(header) if header is not None else None
    return min(float(seconds), _LONGEST_PAUSE_SECONDS) if seconds is not None and seconds >= 0 else None
