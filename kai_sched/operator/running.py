"""The operator put together: what runs always, what runs only while the Lease is held, and how it all ends."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog

from kai_sched.binder.execute import Binder
from kai_sched.cluster.following import Following
from kai_sched.cluster.kube.client import KubeClient
from kai_sched.cluster.kube.transport import ClientOptions
from kai_sched.cluster.mirror import Mirror
from kai_sched.cluster.ports import Document
from kai_sched.errors import KaiSchedError
from kai_sched.model.policy import Policy
from kai_sched.operator.known import MirrorKnowledge
from kai_sched.operator.kopf_watch import WATCHED, KopfWatch
from kai_sched.operator.lease import AlwaysOpen, Leadership, LeaseTerms
from kai_sched.operator.loop import CycleLoop, Pace
from kai_sched.operator.narrator import Narrator, Voice
from kai_sched.operator.probes import serve_probes
from kai_sched.operator.publisher import Publisher
from kai_sched.operator.telemetry import Telemetry
from kai_sched.solving.process import SolverProcess

_log = structlog.get_logger(__name__)

GRACE_SECONDS: Final = 8.0
"""For commands in flight when the operator is asked to end."""
STUCK_SECONDS: Final = 300.0
"""A leading operator whose last cycle is older is not healthy."""
RESTART_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorOptions:
    """Everything that the process's settings decide. ``lease`` None: no leader election."""

    scheduler_name: str
    instance: str
    policy: Callable[[Mapping[str, Document]], Policy]
    """The policy by the SchedulingShards that exist."""
    kubeconfig: Path | None = None
    context: str | None = None
    lease: LeaseTerms | None = None
    metrics_host: str = "0.0.0.0"  # noqa: S104 — probes come from the kubelet
    metrics_port: int = 8080
    client: ClientOptions = field(default_factory=ClientOptions)
    pace: Pace = field(default_factory=Pace)


async def run_operator(options: OperatorOptions) -> None:
    """Run until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with await KubeClient.connect(options.kubeconfig, options.context, options.client) as client:
        await Operator(options, client).run(stop)


class Operator:
    """One operator on one cluster."""

    def __init__(self, options: OperatorOptions, client: KubeClient) -> None:
        self._options = options
        self._client = client
        self._telemetry = Telemetry()
        self._mirror = Mirror(options.scheduler_name)
        self._leadership = Leadership(options.lease, client) if options.lease is not None else None
        self._fence = self._leadership or AlwaysOpen()
        self._solver = SolverProcess()
        self._binder = Binder(client, MirrorKnowledge(self._mirror), self._fence, self._ended)
        self._publisher = Publisher(self._binder, self._fence, time.monotonic)
        voice = Voice(scheduler_name=options.scheduler_name, instance=options.instance)
        self._loop = CycleLoop(
            self._mirror,
            self._solver,
            self._binder,
            Narrator(client, self._publisher, voice),
            self._telemetry,
            self._policy,
            options.pace,
        )
        self._kopf = KopfWatch(self._mirror.event, options.kubeconfig, options.context)
        self._is_leading = False

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop`` is set; then finish what is in flight and give the Lease back."""
        options = self._options
        async with contextlib.AsyncExitStack() as stack:
            port = await stack.enter_async_context(
                serve_probes(
                    options.metrics_host,
                    options.metrics_port,
                    health=self._health,
                    readiness=self._readiness,
                    metrics=self._metrics,
                )
            )
            await stack.enter_async_context(self._solver)
            _log.info("started", server=self._client.base_url, scheduler=options.scheduler_name, port=port)
            self._kopf.start()
            stack.push_async_callback(self._kopf.stop)
            await stack.enter_async_context(_running(_forever("following", self._follow)))
            await stack.enter_async_context(_running(_forever("leading", self._lead)))
            await stop.wait()
            _log.info("ending")
        if self._leadership is not None:
            await self._leadership.release()
        _log.info("ended")

    async def _follow(self) -> None:
        await Following(self._client, self._mirror, compared=WATCHED.keys()).run()

    async def _lead(self) -> None:
        leadership = self._leadership
        if leadership is None:
            await self._decide()
            return
        await leadership.acquired()
        async with _running(self._decide()) as deciding:
            lost = asyncio.create_task(leadership.lost())
            await asyncio.wait({lost, deciding}, return_when=asyncio.FIRST_COMPLETED)
            lost.cancel()
        if deciding.done() and not deciding.cancelled() and (failure := deciding.exception()):
            raise failure

    async def _decide(self) -> None:
        """Everything that writes. Ends by cancelling: what is in flight is finished if we may still write."""
        while self._mirror.waiting_for:
            await self._mirror.wake.wait()
            self._mirror.wake.clear()
        _log.info("leading", pods=len(self._mirror.pods.records))
        self._publisher.forget_all()
        self._is_leading = True
        self._telemetry.leading(is_leading=True)
        try:
            async with _running(self._publisher.run()), _running(self._loop.run()) as cycles:
                await cycles
        finally:
            self._is_leading = False
            self._telemetry.leading(is_leading=False)
            await self._come_to_rest()

    async def _come_to_rest(self) -> None:
        if self._fence.may_write():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._binder.drained(), GRACE_SECONDS)
        await self._binder.abandon()
        self._loop.reset()
        _log.info("stopped deciding")

    def _policy(self) -> Policy:
        return self._options.policy(self._mirror.stock.shards.documents)

    def _ended(self, outcome: object) -> None:
        self._loop.ended(outcome)  # type: ignore[arg-type]

    def _health(self) -> str:
        if self._is_leading and time.monotonic() - self._loop.last_cycle_at > STUCK_SECONDS:
            return f"no cycle ended for {STUCK_SECONDS:.0f} s"
        return ""

    def _readiness(self) -> str:
        missing = self._mirror.waiting_for
        return f"not listed yet: {', '.join(missing)}" if missing else ""

    def _metrics(self) -> bytes:
        self._telemetry.traffic(self._binder.backlog, self._publisher.writes)
        return self._telemetry.text()


async def _forever(name: str, part: Callable[[], Coroutine[None, None, None]]) -> None:
    """Run a part again whenever it ends or fails."""
    while True:
        try:
            await part()
        except (KaiSchedError, ExceptionGroup) as failure:
            _log.warning("part failed and is started again", part=name, failure=repr(failure))
        await asyncio.sleep(RESTART_SECONDS)


@asynccontextmanager
async def _running(
    part: Coroutine[None, None, None],
) -> AsyncIterator[asyncio.Task[None]]:
    """A task that lives as long as the block, and is waited for after it was cancelled."""
    task = asyncio.create_task(part)
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
