"""No test of the binder waits for real."""

from __future__ import annotations

import pytest

from kai_sched.binder import writes as writes_module


@pytest.fixture(autouse=True)
def without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writes_module, "BACKOFF_SECONDS", (0.0,))
