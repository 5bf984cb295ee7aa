"""A watch as it comes in: one document a line, which another thread may end."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import urllib3

from kai_sched.errors import ApiFailure

Document = dict[str, Any]
_CHUNK_BYTES = 65_536


class Stream:
    """The answer to a watch. Iterate once; ``close`` in the reading thread, ``end`` from another one."""

    def __init__(self, answer: urllib3.BaseHTTPResponse, path: str) -> None:
        self._answer = answer
        self._path = path
        self._is_ended = False

    def __iter__(self) -> Iterator[Document]:
        """Documents until the server or ``end`` ends the watch. Raises ``ApiFailure`` where the line broke."""
        pending = b""
        try:
            for chunk in self._answer.stream(_CHUNK_BYTES):
                *lines, pending = (pending + chunk).split(b"\n")
                for line in lines:
                    yield json.loads(line)
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            # Reading a socket that is being shut down fails in many ways.
            if not self._is_ended:
                raise ApiFailure(f"watch {self._path}: {error}", status=0, retryable=True) from error

    def end(self) -> None:
        """Makes the reading thread come to its end at once."""
        self._is_ended = True
        with contextlib.suppress(OSError, ValueError, RuntimeError):
            self._answer.shutdown()

    def close(self) -> None:
        """Gives the connection back, closed: a watch never leaves it in a usable state."""
        self._answer.close()
        self._answer.release_conn()
