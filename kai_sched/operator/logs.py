"""Structured logs, ours and those of the libraries in one form: JSON for machines, coloured lines for terminals."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from enum import StrEnum
from typing import Any, Final

import structlog

from kai_sched.model.texts import shown

_LONGEST: Final = 4000
"""Characters of one field of a log line."""


class LogFormat(StrEnum):
    """How log lines look."""

    JSON = "json"
    CONSOLE = "console"


def configure_logs(form: LogFormat, level: str) -> None:
    """Send everything to stderr in one form."""
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _harmless,
    ]
    structlog.configure(
        processors=[
            *shared,
            structlog.processors.StackInfoRenderer(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if form is LogFormat.JSON
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    closing = [structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer]
    if form is LogFormat.JSON:
        closing.insert(1, structlog.processors.format_exc_info)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=closing))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # kopf has a thread of its own; who sends signals to the operator ends it all the same.
    logging.getLogger("kopf._core.reactor.running").addFilter(_says_more_than_that_signals_are_ignored)
    for noisy in ("kopf", "asyncio", "aiohttp"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))


def _harmless(_: Any, __: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Names and reasons come from other people's objects: they forge no line and paint no terminal."""
    for name, value in entry.items():
        if isinstance(value, str) and not name.startswith("_") and name != "exception":
            entry[name] = shown(value, _LONGEST)
    return entry


def _says_more_than_that_signals_are_ignored(record: logging.LogRecord) -> bool:
    return "OS signals are ignored" not in record.getMessage()
