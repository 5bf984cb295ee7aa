"""Every way a read can fail, for every kind that we follow: a few seconds after the API server is right, so are we."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from kai_sched.api.kinds import Kind
from kai_sched.cluster.following import FOLLOWED, OURS, OWNERS, Following
from kai_sched.cluster.kube.client import KubeClient
from kai_sched.cluster.mirror import Mirror
from kai_sched.cluster.reflector import Reflector
from kai_sched.localcluster import LocalCluster
from kai_sched.localcluster.setup import apply_crds
from kai_sched.operator.kopf_watch import WATCHED, KopfWatch
from tests.cluster.conftest import CRDS
from tests.cluster.faulty import FaultyServer, faulty

Document = dict[str, Any]
FAULT_SECONDS = 3.0
RIGHT_AGAIN_SECONDS = 5.0
STALL_SECONDS = 32.0
KINDS: tuple[Kind, ...] = tuple(item.kind for item in (*FOLLOWED, *OWNERS, *OURS))
MARKERS = Path(__file__).parent / "data" / "one-of-each-kind.yaml"


def markers(namespace: str, mark: str) -> list[Document]:
    """One object of every kind, named by ``mark``."""
    text = MARKERS.read_text().replace("NAMESPACE", namespace).replace("MARK", mark_in(namespace, mark))
    return [document for document in yaml.safe_load_all(text) if document]


def mark_in(namespace: str, mark: str) -> str:
    """Names of cluster-wide objects differ from test to test: namespaces end slowly."""
    return f"{mark}-{namespace}"


class Follower:
    """A mirror that is fed as the operator's is."""

    def __init__(self, client: KubeClient, kubeconfig: Path) -> None:
        self.mirror = Mirror()
        owners = [item.kind for item in OWNERS]
        self.following = Following(client, self.mirror, owners=owners, compared=WATCHED.keys())
        self.kopf = KopfWatch(
            self.mirror.event,
            kubeconfig,
            notice=self.following.watched,
            is_served=self.following.is_served,
        )

    def names(self, kind: Kind) -> set[str]:
        task = self.following._tasks[kind]
        sightings = task.sightings if isinstance(task, Reflector) else self.mirror.sightings(kind)
        return {key.rpartition("/")[2] for key in sightings.keys()}  # noqa: SIM118

    def blind(self) -> set[Kind]:
        return {*self.following.blind, *self.kopf.blind}

    def lacks(self, mark: str) -> list[str]:
        return [str(kind) for kind in KINDS if mark not in self.names(kind)]

    def still_has(self, mark: str) -> list[str]:
        return [str(kind) for kind in KINDS if mark in self.names(kind)]


@asynccontextmanager
async def follower(server: FaultyServer) -> AsyncIterator[Follower]:
    kubeconfig = server.kubeconfig()
    async with await KubeClient.connect(kubeconfig) as client:
        made = Follower(client, kubeconfig)
        task = asyncio.create_task(made.following.run())
        made.kopf.start()
        try:
            await settled(lambda: made.mirror.waiting_for or sorted(map(str, made.blind())), 20.0)
            yield made
            assert not task.done()
        finally:
            await made.kopf.stop()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def settled(left: Any, seconds: float) -> float:
    """Seconds until ``left()`` is empty."""
    begin = time.monotonic()
    while found := left():
        if time.monotonic() > begin + seconds:
            pytest.fail(f"after {seconds:g} s still: {found}")
        await asyncio.sleep(0.05)
    return time.monotonic() - begin


def replace_all(cluster: LocalCluster, namespace: str, old: str, new: str) -> None:
    """While nobody looks: of every kind one object goes and another comes."""
    cluster.api.create_all(markers(namespace, new))
    for document in markers(namespace, old):
        metadata = document["metadata"]
        cluster.api.delete(
            document["kind"], metadata["name"], metadata.get("namespace", ""), gracePeriodSeconds=0
        )


@pytest.mark.parametrize("fault", ["401", "403", "404", "410", "429", "500", "503", "cut", "slow", "pause"])
def test_every_kind_is_right_again_soon_after_the_api_server_is(
    cluster: LocalCluster, namespace: str, fault: str
) -> None:
    cluster.api.create_all(markers(namespace, "old"))
    old, new = mark_in(namespace, "old"), mark_in(namespace, "new")

    async def run() -> None:
        async with faulty(cluster) as server, follower(server) as seen:
            await settled(lambda: seen.lacks(old), 5.0)
            begin_fault(server, fault)
            await asyncio.to_thread(replace_all, cluster, namespace, "old", "new")
            await asyncio.sleep(FAULT_SECONDS)
            if fault.isdigit():
                assert seen.blind() >= set(KINDS), sorted(map(str, set(KINDS) - seen.blind()))
            server.mend()
            await settled(
                lambda: [*seen.lacks(new), *gone_late(seen, old), *map(str, seen.blind())],
                RIGHT_AGAIN_SECONDS,
            )

    asyncio.run(run())


def begin_fault(server: FaultyServer, fault: str) -> None:
    match fault:
        case "cut":
            server.cut()
        case "slow":
            server.delay_seconds = 1.5
            server.cut()
        case "pause":
            server.released.clear()
            server.cut()
        case status:
            server.refuse(int(status))


def gone_late(seen: Follower, old: str) -> list[str]:
    """Kinds whose deleted object is still believed in; a namespace ends later than it is deleted."""
    return [kind for kind in seen.still_has(old) if not kind.startswith("Namespace")]


@pytest.mark.slow
def test_connections_that_hear_nothing_and_do_not_end_are_given_up_in_time(
    cluster: LocalCluster, namespace: str
) -> None:
    cluster.api.create_all(markers(namespace, "old"))
    old, new = mark_in(namespace, "old"), mark_in(namespace, "new")

    async def run() -> None:
        async with faulty(cluster) as server, follower(server) as seen:
            await settled(lambda: seen.lacks(old), 5.0)
            server.freeze()
            await asyncio.to_thread(replace_all, cluster, namespace, "old", "new")
            await settled(lambda: [*seen.lacks(new), *gone_late(seen, old)], STALL_SECONDS)

    asyncio.run(run())


def test_a_crd_that_is_removed_and_applied_again_is_watched_again(start_cluster: Any) -> None:
    cluster = start_cluster()
    cluster.new_namespace("team")
    old, new, newer = (mark_in("team", mark) for mark in ("old", "new", "newer"))
    ours = {str(item.kind) for item in OURS}
    crds = ["queues.scheduling.run.ai", "podgroups.scheduling.run.ai", "topologies.kai.scheduler"]

    def apply_again() -> None:
        for name in crds:
            cluster.api.delete("CustomResourceDefinition", name)
        until_gone(cluster, crds)
        time.sleep(FAULT_SECONDS)
        apply_crds(cluster.api, CRDS)
        ours_of_new = [
            one for one in markers("team", "new") if one["kind"] in {"Queue", "PodGroup", "Topology"}
        ]
        cluster.api.create_all(ours_of_new)

    async def run() -> None:
        async with faulty(cluster) as server, follower(server) as seen:
            cluster.api.create_all(
                one for one in markers("team", "old") if one["kind"] in {"Queue", "PodGroup"}
            )
            await asyncio.to_thread(apply_again)
            kinds = [kind for kind in KINDS if str(kind) in ours and "Shard" not in str(kind)]
            await settled(
                lambda: [
                    str(kind)
                    for kind in kinds
                    if new not in seen.names(kind) or old in seen.names(kind) or kind in seen.blind()
                ],
                RIGHT_AGAIN_SECONDS,
            )
            # Its events are told again, not only its lists.
            await asyncio.to_thread(cluster.api.create_all, [queue_named("newer")])
            await settled(lambda: not any(newer in seen.names(kind) for kind in kinds), 1.0)

    asyncio.run(run())


def queue_named(name: str) -> Document:
    (queue,) = [one for one in markers("team", name) if one["kind"] == "Queue"]
    return queue


def until_gone(cluster: LocalCluster, crds: list[str]) -> None:
    end = time.monotonic() + 20
    while {one["metadata"]["name"] for one in cluster.api.list("CustomResourceDefinition")} & set(crds):
        assert time.monotonic() < end
        time.sleep(0.2)
