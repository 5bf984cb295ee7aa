"""Log lines hold names of other people's objects, and stay lines."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import structlog

from kai_sched.operator.logs import LogFormat, configure_logs


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.parametrize("form", LogFormat)
def test_no_name_forges_a_line_or_paints_the_terminal(
    form: LogFormat, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs(form, "info")

    structlog.get_logger("test").info(
        "bound", pod="team/p\x1b[31m\nbound pod=team/fake", reason="x" * 100_000
    )

    (line,) = capsys.readouterr().err.splitlines()
    assert "\x1b[31m" not in line
    assert len(line) < 10_000
