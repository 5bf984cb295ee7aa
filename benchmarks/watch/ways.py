"""The two ways of watching: our reflector into a mirror, and a kopf handler. Each runs in a process of its own.

``python -m benchmarks.watch.ways mirror|kopf KUBECONFIG FOLDER`` prints its figures as JSON.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import time
import tracemalloc
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import aiohttp
import kopf

from benchmarks.watch.recording import NAMESPACE
from kai_sched.api import kinds
from kai_sched.cluster.kube.client import KubeClient
from kai_sched.cluster.kube.resources import PODS
from kai_sched.cluster.mirror import Mirror
from kai_sched.cluster.ports import JSON, ListPage
from kai_sched.cluster.reflector import Reflector, Source
from kai_sched.model.ids import PodKey

_PATIENCE_SECONDS = 100


class Clock:
    """From the first event until every pod has been seen in its last version."""

    def __init__(self, last_versions: Mapping[str, str]) -> None:
        self._left = set(last_versions.items())
        self._first: tuple[float, float] | None = None
        self._last = (0.0, 0.0)
        self.done = asyncio.Event()

    def see(self, name: str, version: str) -> None:
        if self._first is None:
            self._first = (time.perf_counter(), time.process_time())
        self._left.discard((name, version))
        if not self._left and not self.done.is_set():
            self._last = (time.perf_counter(), time.process_time())
            self.done.set()

    def begin(self) -> None:
        self._first = (time.perf_counter(), time.process_time())

    def figures(self, events: int) -> dict[str, float]:
        assert self._first is not None
        wall, cpu = self._last[0] - self._first[0], self._last[1] - self._first[1]
        return {
            "events": events,
            "seconds": wall,
            "cpu_seconds": cpu,
            "events_per_second": events / wall,
            "events_per_cpu_second": events / cpu,
        }


class FromHistory:
    """The API server as it looked before the first event."""

    def __init__(self, client: KubeClient, began_at: str, clock: Clock) -> None:
        self._client = client
        self._began_at = began_at
        self._clock = clock

    async def list_pages(self, *_: object, **__: object) -> AsyncGenerator[ListPage]:
        yield ListPage([], self._began_at, is_last=True)

    async def watch_lines(
        self,
        path: str,
        *,
        resource_version: str,
        timeout_seconds: int,
        params: Mapping[str, str] | None = None,  # noqa: ARG002 — of the protocol
        accept: str = JSON,
    ) -> AsyncGenerator[list[bytes]]:
        self._clock.begin()
        async for lines in self._client.watch_lines(
            path, resource_version=resource_version, timeout_seconds=timeout_seconds, accept=accept
        ):
            yield lines


async def through_mirror(
    kubeconfig: Path, began_at: str, events: int, last: dict[str, str]
) -> dict[str, Any]:
    """Reflector and mirror as the operator runs them; the clock starts when the watch is asked for."""
    clock = Clock(last)
    mirror = Mirror()
    sink = mirror.sink(kinds.POD)
    async with await KubeClient.connect(kubeconfig) as client:
        transport = FromHistory(client, began_at, clock)
        reflector = Reflector(transport, Source(name="Pod", path=PODS.collection()), sink, chance=lambda: 0.5)
        following = asyncio.create_task(reflector.run())
        try:
            await asyncio.wait_for(_all_seen(mirror, clock, last), _PATIENCE_SECONDS)
        finally:
            following.cancel()
    figures = clock.figures(events)
    assert {pod.key.partition("/")[2]: pod.resource_version for pod in mirror.pods.records.values()} == last
    return figures


async def _all_seen(mirror: Mirror, clock: Clock, last: Mapping[str, str]) -> None:
    """Looks at the mirror itself: an event counts when a decision could see it."""
    records = mirror.pods.records
    for name, version in last.items():
        key = PodKey(f"{NAMESPACE}/{name}")
        while key not in records or records[key].resource_version != version:  # noqa: ASYNC110 — seen from outside
            await asyncio.sleep(0.001)
        clock.see(name, version)


async def memory_of_mirror(lines: list[bytes], pods: int) -> dict[str, Any]:
    """What the process holds for a pod once all events are in: records, keys, sightings."""
    held = await _held_bytes(lines)
    return {"pods": pods, "bytes_per_pod": held / pods}


async def _held_bytes(lines: list[bytes]) -> int:
    class Recorded:
        async def list_pages(self, *_: object, **__: object) -> AsyncGenerator[ListPage]:
            yield ListPage([], "1", is_last=True)

        async def watch_lines(self, *_: object, **__: object) -> AsyncGenerator[list[bytes]]:
            for line in lines:
                yield [line]
            ended.set()
            await asyncio.sleep(_PATIENCE_SECONDS)

    ended = asyncio.Event()
    mirror = Mirror()
    reflector = Reflector(
        Recorded(), Source(name="Pod", path="/"), mirror.sink(kinds.POD), chance=lambda: 0.5
    )
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    following = asyncio.create_task(reflector.run())
    await ended.wait()
    await asyncio.sleep(0)
    gc.collect()
    held = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    following.cancel()
    assert mirror.pods.records
    return held


async def through_kopf(kubeconfig: Path, events: int, last: dict[str, str]) -> NoReturn:
    """A kopf operator with one event handler that keeps name and version; the clock starts with its first call."""
    clock = Clock(last)
    registry = kopf.OperatorRegistry()
    calls = 0

    @kopf.on.startup(registry=registry)
    def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
        settings.posting.enabled = False
        settings.peering.standalone = True
        settings.scanning.disabled = True

    @kopf.on.login(registry=registry)
    async def login(**_: Any) -> kopf.AiohttpSession:
        session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        return kopf.AiohttpSession(server=_server_of(kubeconfig), aiohttp_session=session)

    @kopf.on.event("", "v1", "pods", registry=registry)
    async def see(event: Mapping[str, Any], **_: Any) -> None:
        nonlocal calls
        calls += 1
        metadata = event["object"]["metadata"]
        clock.see(metadata["name"], metadata["resourceVersion"])

    running = asyncio.create_task(kopf.operator(registry=registry, standalone=True, clusterwide=True))
    await asyncio.wait(
        {running, asyncio.create_task(clock.done.wait())},
        timeout=_PATIENCE_SECONDS,
        return_when=asyncio.FIRST_COMPLETED,
    )
    if not clock.done.is_set():
        raise SystemExit("kopf did not see every event")
    _print_and_end({**clock.figures(events), "handler_calls": calls})


def _server_of(kubeconfig: Path) -> str:
    return str(json.loads(kubeconfig.read_text())["clusters"][0]["cluster"]["server"])


def _print_and_end(figures: dict[str, Any]) -> NoReturn:
    """At once: a kopf that is cancelled in the middle of a watch would wait for its tasks."""
    print(json.dumps(figures), flush=True)
    os._exit(0)


def main() -> None:
    way, kubeconfig, folder = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    lines = (folder / "lines").read_bytes().splitlines()
    last: dict[str, str] = json.loads((folder / "last.json").read_text())
    began_at = (folder / "began").read_text()
    events = len(lines)
    if way == "memory":
        figures = asyncio.run(memory_of_mirror(lines, len(last)))
    elif way == "mirror":
        figures = asyncio.run(through_mirror(kubeconfig, began_at, events, last))
    else:
        asyncio.run(through_kopf(kubeconfig, events, last))
        raise AssertionError("unreachable")
    _print_and_end(figures)


if __name__ == "__main__":
    main()
