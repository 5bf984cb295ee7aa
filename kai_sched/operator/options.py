"""What the process's settings mean for the operator."""

from __future__ import annotations

import socket
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from kai_sched.api.settings import Settings
from kai_sched.cluster.kube.transport import ClientOptions
from kai_sched.operator.lease import LeaseTerms
from kai_sched.operator.pace import Pace
from kai_sched.operator.probes import Listening

DEFAULT_SHARD = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorOptions:
    """Everything that is decided before the operator starts. ``lease`` None: no leader election."""

    settings: Settings = field(default_factory=Settings)
    instance: str
    kubeconfig: Path | None = None
    context: str | None = None
    lease: LeaseTerms | None = None
    """An empty namespace is the one that the operator runs in."""
    listening: Listening = field(default_factory=Listening)
    client: ClientOptions = field(default_factory=ClientOptions)
    pace: Pace = field(default_factory=Pace)


def options_of(
    settings: Settings, *, kubeconfig: Path | None = None, context: str | None = None
) -> OperatorOptions:
    """The options by the settings, under an identity that no other process has."""
    instance = f"{socket.gethostname()}_{uuid.uuid4().hex[:8]}"
    lease, cycle, client, ports = settings.lease, settings.cycle, settings.client, settings.ports
    return OperatorOptions(
        settings=settings,
        instance=instance,
        kubeconfig=kubeconfig,
        context=context,
        lease=LeaseTerms(
            namespace=lease.namespace,
            name=lease.name or _lease_name(settings),
            identity=instance,
            duration_seconds=lease.duration_seconds,
            renew_seconds=lease.renew_seconds,
        )
        if lease.enabled
        else None,
        listening=Listening(host=ports.host, metrics_port=ports.metrics, health_port=ports.health),
        client=ClientOptions(
            pool_size=client.pool_size,
            requests_per_second=client.requests_per_second,
            burst=client.burst,
            timeout_seconds=client.timeout_seconds,
        ),
        pace=Pace(
            min_interval_seconds=cycle.min_interval_seconds,
            idle_seconds=cycle.max_interval_seconds,
            decide_seconds=cycle.deadline_seconds,
            self_check_seconds=cycle.self_check_seconds,
        ),
    )


def _lease_name(settings: Settings) -> str:
    """As KAI names it: one operator for each scheduler name and shard."""
    if settings.shard == DEFAULT_SHARD:
        return settings.scheduler_name
    return f"{settings.scheduler_name}-{settings.shard}"
