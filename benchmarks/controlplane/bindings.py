"""The clock: when the API server answered each binding, by its own audit log."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

_CREATED = 201


@dataclass(frozen=True, slots=True)
class Bindings:
    """The instants, in seconds of the API server's clock, at which pods got their nodes; and how many were refused."""

    at: tuple[float, ...] = ()
    refused: int = 0

    @property
    def seconds(self) -> float:
        """From the first to the last."""
        return self.at[-1] - self.at[0] if self.at else 0.0


class AuditLog:
    """Reads what is appended to an audit log. The pods are not listed: that would take the API server's time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._made: list[float] = []
        self._refused = 0
        self.restart()

    def restart(self) -> None:
        """Forgets what has been written until now."""
        self._offset = self._path.stat().st_size if self._path.exists() else 0
        self._made, self._refused = [], 0

    def bindings(self) -> Bindings:
        """All since the restart."""
        if self._path.exists():
            with self._path.open("rb") as log:
                log.seek(self._offset)
                text = log.read()
            whole = text[: text.rfind(b"\n") + 1]
            self._offset += len(whole)
            for line in whole.splitlines():
                self._take(json.loads(line))
        return Bindings(tuple(sorted(self._made)), self._refused)

    def _take(self, entry: dict[str, object]) -> None:
        about, status = entry["objectRef"], entry["responseStatus"]
        assert isinstance(about, dict)
        assert isinstance(status, dict)
        if about.get("subresource") != "binding":
            return
        if status["code"] == _CREATED:
            self._made.append(datetime.fromisoformat(str(entry["stageTimestamp"])).timestamp())
        else:
            self._refused += 1
