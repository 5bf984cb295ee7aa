"""``kai-sched run``: the operator in the foreground."""

from __future__ import annotations

import asyncio
import sys
from enum import StrEnum
from typing import Annotated

import typer

from kai_sched.api.settings import Settings, load_settings, settings_document
from kai_sched.cli import options
from kai_sched.cli.output import OutputFormat, print_document
from kai_sched.operator.logs import LogFormat, configure_logs
from kai_sched.operator.options import options_of
from kai_sched.operator.running import run_operator


class LogChoice(StrEnum):
    """Values of ``--log-format``."""

    AUTO = "auto"
    JSON = "json"
    CONSOLE = "console"


class LogLevel(StrEnum):
    """Values of ``--log-level``."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def run(
    kubeconfig: options.Kubeconfig = None,
    context: options.Context = None,
    config: options.Config = None,
    scheduler_name: Annotated[
        str | None, typer.Option(help="Pods with this schedulerName are scheduled.")
    ] = None,
    shard: Annotated[str | None, typer.Option(help="SchedulingShard whose policy applies.")] = None,
    default_queue: Annotated[str | None, typer.Option(help="Queue of workloads that name none.")] = None,
    metrics_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port of /metrics; 0 turns it off.")
    ] = None,
    health_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port of /healthz and /readyz; 0 turns it off.")
    ] = None,
    log_format: Annotated[
        LogChoice | None,
        typer.Option(
            metavar="<form>", help="auto, json or console; auto: console on a terminal, JSON elsewhere."
        ),
    ] = None,
    log_level: Annotated[
        LogLevel | None,
        typer.Option(metavar="<level>", help="Least severity logged: debug, info, warning or error."),
    ] = None,
    lease: Annotated[
        bool | None,
        typer.Option(
            "--lease/--no-lease", help="Hold a Lease while running, so that one operator decides. On."
        ),
    ] = None,
    print_config: Annotated[
        bool, typer.Option("--print-config", help="Print the settings that hold, and end.")
    ] = False,
    output: Annotated[
        OutputFormat, typer.Option("-o", "--output", help="Form of --print-config: json, else YAML.")
    ] = OutputFormat.YAML,
) -> None:
    """Run the operator in the foreground until SIGTERM or Ctrl-C.

    Every flag overrides its setting in the environment (KAI_SCHED_*), and that the one in the --config file.

    Example: kai-sched run --kubeconfig ~/.kube/config --log-format console
    """
    settings = load_settings(
        config,
        flags={
            "scheduler_name": scheduler_name,
            "shard": shard,
            "default_queue": default_queue,
            "ports.metrics": metrics_port,
            "ports.health": health_port,
            "log.format": None if log_format is None else log_format.value,
            "log.level": None if log_level is None else log_level.value,
            "lease.enabled": lease,
        },
    )
    if print_config:
        form = OutputFormat.JSON if output is OutputFormat.JSON else OutputFormat.YAML
        print_document(settings_document(settings), form)
        return
    configure_logs(_log_format(settings), settings.log.level)
    asyncio.run(run_operator(options_of(settings, kubeconfig=kubeconfig, context=context)))


def _log_format(settings: Settings) -> LogFormat:
    if settings.log.format == "auto":
        return LogFormat.CONSOLE if sys.stderr.isatty() else LogFormat.JSON
    return LogFormat(settings.log.format)
