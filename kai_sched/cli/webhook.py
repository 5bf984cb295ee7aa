"""``kai-sched webhook``: turns parts of GPUs into claims when pods are created."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from kai_sched.api.files import read_file
from kai_sched.api.keys import SCHEDULER_NAME
from kai_sched.cli import options
from kai_sched.cluster.kube.client import KubeClient
from kai_sched.errors import InvalidInput
from kai_sched.operator.logs import LogFormat, configure_logs
from kai_sched.webhook.realise import SharedClaims, Templates
from kai_sched.webhook.reaper import Reaper
from kai_sched.webhook.review import Reviewer
from kai_sched.webhook.server import Serving, serve
from kai_sched.webhook.share import Sharing
from kai_sched.webhook.store import Store


class Realisation(StrEnum):
    """Values of ``--realise``."""

    CONSUMABLE_CAPACITY = "consumable-capacity"
    SHARED_CLAIM = "shared-claim"


def webhook(
    device_class: Annotated[str, typer.Option(help="DeviceClass whose devices are shared.")],
    certificate: Annotated[Path, typer.Option(help="TLS certificate (PEM); read again when renewed.")],
    key: Annotated[Path, typer.Option(help="Its key (PEM).")],
    client_ca: Annotated[
        Path | None,
        typer.Option(
            help="Authority (PEM) of the API server's client certificate: reviews of anybody else are refused."
        ),
    ] = None,
    client_name: Annotated[
        list[str] | None,
        typer.Option(help="Common name that its certificate has; repeatable. Default: any of the authority."),
    ] = None,
    answer_anyone: Annotated[
        bool,
        typer.Option(
            "--answer-anyone",
            help="Instead of --client-ca: whoever reaches the port has claims made, in any namespace.",
        ),
    ] = False,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to serve on.")] = 9443,
    host: Annotated[
        str | None, typer.Option(help="Address to serve on. Default: all of this machine.")
    ] = None,
    kubeconfig: options.Kubeconfig = None,
    context: options.Context = None,
    scheduler_name: Annotated[
        str, typer.Option(help="Pods with this schedulerName are looked at.")
    ] = SCHEDULER_NAME,
    realise: Annotated[
        Realisation,
        typer.Option(
            metavar="<way>",
            help="How a part is had. consumable-capacity: a claim of its own on devices that allow multiple"
            " allocations; shared-claim: one that the pods of a namespace name together.",
        ),
    ] = Realisation.CONSUMABLE_CAPACITY,
    capacity: Annotated[str, typer.Option(help="Capacity that a part is measured in, in bytes.")] = "memory",
    distinct_attribute: Annotated[
        str,
        typer.Option(
            show_default=False,
            help="Attribute that tells devices apart, for parts of several. Default: the standard pciBusID.",
        ),
    ] = "resource.kubernetes.io/pciBusID",
    mps_config: Annotated[
        Path | None,
        typer.Option(help='JSON file {"driver", "parameters"}: what annotation mps stands for.'),
    ] = None,
    time_slicing_config: Annotated[
        Path | None,
        typer.Option(help="The same for shared claims of pods without annotation mps. Default: none."),
    ] = None,
    grace_seconds: Annotated[
        float,
        typer.Option(
            min=1.0, help="What no pod uses is deleted after so long; longer than admitting a pod ever takes."
        ),
    ] = 60.0,
) -> None:
    """Serve the mutating webhook that makes a claim of the annotations gpu-fraction and gpu-memory.

    Example: kai-sched webhook --device-class gpu.nvidia.com --certificate tls.crt --key tls.key --client-ca ca.crt
    """
    if (client_ca is None) is not answer_anyone:
        raise InvalidInput(
            "name either the authority of the API server's certificate or --answer-anyone",
            field="--client-ca",
        )
    configure_logs(LogFormat.CONSOLE if sys.stderr.isatty() else LogFormat.JSON, "info")
    sharing = Sharing(
        device_class=device_class,
        capacity=capacity,
        distinct_attribute=distinct_attribute,
        mps=None if mps_config is None else _config(mps_config, "--mps-config"),
        time_slicing=None
        if time_slicing_config is None
        else _config(time_slicing_config, "--time-slicing-config"),
    )
    serving = Serving(
        host=host,
        port=port,
        certificate=certificate,
        key=key,
        client_ca=client_ca,
        client_names=tuple(client_name or ()),
    )
    make = SharedClaims if realise is Realisation.SHARED_CLAIM else Templates

    async def run() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        async with await KubeClient.connect(kubeconfig, context) as client:
            store = Store(client)
            reviewer = Reviewer(scheduler_name, make(store, sharing, grace_seconds, time.time))
            await serve(reviewer, Reaper(store, grace_seconds, time.time), serving, stop)

    asyncio.run(run())


def _config(path: Path, flag: str) -> tuple[str, str]:
    try:
        document = json.loads(read_file(path))
        return str(document["driver"]), json.dumps(document["parameters"], sort_keys=True)
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidInput(f"needs driver and parameters: {error!r}", source=str(path), field=flag) from error
