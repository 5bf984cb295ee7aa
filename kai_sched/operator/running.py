"""The operator put together: what runs always, what runs only while the Lease is held, and how it all ends."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Final

import structlog

from kai_sched import __version__
from kai_sched.api.shard_policy import base_policy
from kai_sched.binder.execute import Binder
from kai_sched.binder.outcomes import CommandOutcome
from kai_sched.binder.wait import DeviceWait
from kai_sched.cluster.contained import Contained
from kai_sched.cluster.following import Following
from kai_sched.cluster.kube.client import KubeClient
from kai_sched.cluster.kube.resources import SHARDS
from kai_sched.cluster.mirror import Mirror
from kai_sched.cluster.ports import Document
from kai_sched.errors import ApiFailure, KaiSchedError
from kai_sched.grouping import WorkloadGrouper
from kai_sched.model.policy import Policy
from kai_sched.operator.containing import Containing
from kai_sched.operator.group_writer import GroupWriter
from kai_sched.operator.known import MirrorKnowledge
from kai_sched.operator.kopf_watch import WATCHED, KopfWatch
from kai_sched.operator.lease import AlwaysOpen, Leadership
from kai_sched.operator.loop import Crew, CycleLoop
from kai_sched.operator.narrator import Narrator, Voice
from kai_sched.operator.options import DEFAULT_SHARD, OperatorOptions
from kai_sched.operator.probes import serve_probes
from kai_sched.operator.publisher import Publisher
from kai_sched.operator.shard import ShardNotice, ShardPolicy
from kai_sched.operator.telemetry import Telemetry
from kai_sched.solving.process import SolverProcess

_log = structlog.get_logger(__name__)

GRACE_SECONDS: Final = 8.0
"""For commands in flight when the operator is asked to end."""
STUCK_SECONDS: Final = 300.0
"""A leading operator whose last cycle is older is not healthy."""
RESTART_SECONDS: Final = 2.0


async def run_operator(options: OperatorOptions) -> None:
    """Run until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with await KubeClient.connect(options.kubeconfig, options.context, options.client) as client:
        # A shard that moves to another node pool changes what belongs to us, and watches that broke leave gaps:
        # the operator begins anew.
        while not stop.is_set():
            await Operator(options, client, await _first_policy(options, client, stop)).run(stop)


async def _first_policy(options: OperatorOptions, client: KubeClient, stop: asyncio.Event) -> Policy:
    """The policy as the shard says it now; defaults where it does not, it is read again before anything is decided."""
    shard = ShardPolicy(options.settings)
    path = SHARDS.item(shard.name)
    documents: dict[str, Document] = {}
    while not stop.is_set():
        try:
            documents = {shard.name: await client.get(path)}
        except ApiFailure as failure:
            if failure.retryable:
                _log.warning("the API server does not answer", failure=str(failure))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(RESTART_SECONDS):
                        await stop.wait()
                continue
        break
    return shard.current(documents) or base_policy(options.settings)


class Operator:
    """One operator on one cluster, for as long as its shard keeps its node pool and its watches hold."""

    def __init__(self, options: OperatorOptions, client: KubeClient, policy: Policy) -> None:
        self._options = options
        self._client = client
        self._partition = policy.partition_value
        self._shard = ShardPolicy(options.settings)
        self._shard_said = ShardNotice("", None, "", ())
        self._outdated = asyncio.Event()
        self._telemetry = Telemetry()
        contained = self._contained = Contained(self._telemetry.contained)
        self._grouper = WorkloadGrouper(policy)
        self._mirror = Mirror(options.settings.scheduler_name, self._grouper, contained)
        self._leadership = Leadership(options.lease, client) if options.lease is not None else None
        self._fence = self._leadership or AlwaysOpen()
        self._solver = SolverProcess()
        wait = DeviceWait(timeout_seconds=options.settings.binding_timeout_seconds, epoch=time.time)
        self._binder = Binder(
            client, MirrorKnowledge(self._mirror), self._fence, self._ended, device_wait=wait
        )
        self._publisher = Publisher(self._binder, self._fence, time.monotonic, contained)
        self._group_writer = GroupWriter(client, self._publisher, time.monotonic)
        self._narrator = Narrator(client, self._publisher, self._voice(), contained)
        crew = Crew(
            mirror=self._mirror,
            solver=Containing(self._solver, time.monotonic),
            binder=self._binder,
            narrator=self._narrator,
            telemetry=self._telemetry,
            write_groups=self._write_groups,
            note_shard=self._note_shard,
            contained=contained,
        )
        self._loop = CycleLoop(crew, self._policy, options.pace)
        self._following = Following(client, self._mirror, owners=self._grouper.kinds, compared=WATCHED.keys())
        self._kopf = KopfWatch(
            self._mirror.event,
            options.kubeconfig,
            options.context,
            notice=self._following.watched,
            is_served=self._following.is_served,
        )
        self._is_leading = False

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop`` is set; then finish what is in flight and give the Lease back."""
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(
                serve_probes(
                    self._options.listening,
                    health=self._health,
                    readiness=self._readiness,
                    metrics=self._metrics,
                )
            )
            await stack.enter_async_context(self._solver)
            settings = self._options.settings
            _log.info(
                "started",
                version=__version__,
                server=self._client.base_url,
                scheduler=settings.scheduler_name,
                shard=settings.shard,
                instance=self._options.instance,
            )
            self._kopf.start()
            stack.push_async_callback(self._kopf.stop)
            await stack.enter_async_context(_running(self._follow()))
            await stack.enter_async_context(_running(_forever("leading", self._lead)))
            await _first_of(stop, self._outdated)
            _log.info("ending")
        if self._leadership is not None:
            await self._leadership.release()
        _log.info("ended")

    async def _follow(self) -> None:
        with self._contained.guard("watching", "all kinds") as attempt:
            await self._following.run()
        if attempt.failure:
            # New watches on the old mirror would never tell what went meanwhile.
            _log.error("watching failed, the operator begins anew", failure=attempt.failure)
            await asyncio.sleep(RESTART_SECONDS)
            self._outdated.set()

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
        self._group_writer.forget_all()
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
                async with asyncio.timeout(GRACE_SECONDS):
                    await self._binder.drained()
        await self._binder.abandon()
        self._loop.reset()
        _log.info("stopped deciding")

    def _policy(self) -> Policy | None:
        shards = self._mirror.stock.shards.documents
        policy = self._shard.current(shards)
        if policy is not None and not self._grouper.serves(policy):
            _log.info("the shard groups pods otherwise now", partition=policy.partition_value)
            self._outdated.set()
            return None
        return policy

    def _note_shard(self) -> ShardNotice:
        """What is to be said of the shard; the log says what is new of it."""
        notice = self._shard.notice(self._mirror.stock.shards.documents)
        if notice.problem != self._shard_said.problem or notice.remarks != self._shard_said.remarks:
            if notice.problem:
                _log.error("the shard is wrong", shard=notice.name, problem=notice.problem)
            for remark in notice.remarks:
                _log.warning("a key of the shard is left out", shard=notice.name, remark=remark)
        self._shard_said = notice
        return notice

    def _voice(self) -> Voice:
        options = self._options
        return Voice(
            scheduler_name=options.settings.scheduler_name,
            instance=options.instance,
            node_pool=self._partition or DEFAULT_SHARD,
            writes_events=options.settings.events,
            gpu_classes=base_policy(options.settings).gpu_classes,
        )

    def _write_groups(self) -> bool:
        return self._group_writer.offer(self._grouper.writes()) > 0

    def _ended(self, outcome: CommandOutcome) -> None:
        self._loop.ended(outcome)

    def _health(self) -> str:
        if self._is_leading and time.monotonic() - self._loop.last_cycle_at > STUCK_SECONDS:
            return f"no cycle ended for {STUCK_SECONDS:.0f} s"
        return ""

    def _readiness(self) -> str:
        missing = self._mirror.waiting_for
        if missing:
            return f"not listed yet: {', '.join(missing)}"
        blind = self._blind()
        return f"not watched at the moment: {', '.join(blind)}" if blind else ""

    def _blind(self) -> list[str]:
        return sorted({str(kind) for kind in (*self._following.blind, *self._kopf.blind)})

    def _metrics(self) -> bytes:
        publisher = self._publisher
        self._telemetry.traffic(self._binder.backlog, publisher.writes, publisher.failures)
        self._telemetry.blind(self._blind(), self._kopf.starts)
        return self._telemetry.text()


async def _forever(name: str, part: Callable[[], Coroutine[None, None, None]]) -> None:
    """Run a part again whenever it ends or fails."""
    while True:
        try:
            await part()
        except KaiSchedError as failure:
            _log.warning("part failed and is started again", part=name, failure=str(failure))
        except Exception:  # noqa: BLE001 — whatever broke, a scheduler that stopped helps nobody
            _log.exception("part failed and is started again", part=name)
        await asyncio.sleep(RESTART_SECONDS)


async def _first_of(*events: asyncio.Event) -> None:
    waits = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


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
