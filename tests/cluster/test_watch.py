"""The mirror on a real API server: whatever breaks in between, in the end it holds what a fresh list shows."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from kai_sched.api import kinds
from kai_sched.api.membership import Grouping
from kai_sched.api.objects import ObjectSet
from kai_sched.api.snapshot import snapshot_of
from kai_sched.cluster.following import Following
from kai_sched.cluster.kube.client import KubeClient
from kai_sched.cluster.mirror import Mirror
from kai_sched.cluster.reflector import Pace
from kai_sched.cluster.snapshots import read_objects
from kai_sched.localcluster import LocalCluster
from kai_sched.localcluster.setup import apply_crds
from kai_sched.model.policy import Policy
from kai_sched.operator.kopf_watch import WATCHED, KopfWatch
from tests.cluster.conftest import CRDS
from tests.cluster.objects import a_claim_template, a_pod, a_pod_group, a_queue, with_nodes

StartCluster = Callable[..., LocalCluster]
POLICY = Policy()
NOW = 1_900_000_000.0
BRISK = Pace(compare_seconds=2.0, absent_seconds=1.0, longest_wait_seconds=1.0)
ANYTHING = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


class Proxy:
    """A pass-through between the watches and the API server whose connections can be cut."""

    def __init__(self, target: str) -> None:
        address = urlsplit(target)
        self._host, self._port = str(address.hostname), int(address.port or 443)
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self._is_open = asyncio.Event()
        self.port = 0
        self.connections = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        self._is_open.set()

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()

    def hold(self) -> None:
        """Cuts every connection; new ones are taken and hear nothing until ``release``."""
        self._is_open.clear()
        self.cut()

    def release(self) -> None:
        self._is_open.set()

    def cut(self) -> None:
        """Ends every connection without a word, as a middlebox would."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        await self._is_open.wait()
        try:
            far_reader, far_writer = await asyncio.open_connection(self._host, self._port)
        except OSError:
            writer.transport.abort()
            return
        self._writers.add(far_writer)
        await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.transport.abort()


def through(proxy: Proxy, cluster: LocalCluster) -> Path:
    """A kubeconfig that goes through the proxy."""
    document = yaml.safe_load(cluster.kubeconfig.read_text())
    document["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{proxy.port}"
    path = cluster.folder / "through-proxy.kubeconfig"
    path.write_text(yaml.safe_dump(document))
    return path


@asynccontextmanager
async def followed(kubeconfig: Path) -> AsyncIterator[tuple[Mirror, Following]]:
    """A mirror that follows the cluster and has seen everything once."""
    mirror = Mirror()
    async with await KubeClient.connect(kubeconfig) as client:
        following = Following(client, mirror, pace=BRISK)
        task = asyncio.create_task(following.run())
        try:
            await until(lambda: not mirror.waiting_for, "the first lists")
            yield mirror, following
            assert not task.done()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def until(is_so: Callable[[], bool], what: str, seconds: float = 40.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            pytest.fail(f"waited in vain for {what}")
        await asyncio.sleep(0.05)


async def listed(cluster: LocalCluster) -> Any:
    """The snapshot by the other way: a fresh list of everything, read with care."""
    async with await KubeClient.connect(cluster.kubeconfig) as client:
        objects = ObjectSet(await read_objects(client))
    return snapshot_of(objects, now=NOW, policy=POLICY, group=lambda _objects, _policy: Grouping())


async def shows_what_is_there(mirror: Mirror, cluster: LocalCluster, seconds: float = 40.0) -> None:
    """Waits until the mirror equals a fresh list; nodes' heartbeats move under our feet, hence more than one try."""
    deadline = time.monotonic() + seconds
    while True:
        theirs = await listed(cluster)
        ours = mirror.snapshot(NOW, POLICY)
        theirs = replace(theirs, fleet=replace(theirs.fleet, version=ours.fleet.version))
        if ours == theirs:
            return
        if time.monotonic() > deadline:
            assert ours == theirs
        await asyncio.sleep(0.3)


async def off_loop(action: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """The admin's client blocks."""
    return await asyncio.to_thread(action, *arguments, **named)


def a_busy_minute(cluster: LocalCluster, namespace: str, first: int) -> None:
    """Pods come, go, come back under their old name and are bound; a claim and a group come; a queue changes."""
    api = cluster.api
    pods = [a_pod(f"p{first + index}", namespace, gpus=1) for index in range(12)]
    api.create_all(pods)
    for index in range(0, 12, 3):
        api.delete("Pod", f"p{first + index}", namespace, gracePeriodSeconds=0)
    api.create(a_pod(f"p{first}", namespace, gpus=2))
    api.bind(f"p{first + 1}", "plugin-0", namespace)
    api.create(a_pod_group(f"g{first}", namespace, minMember=2))
    api.apply(a_queue("team-a", gpu_quota=first + 1))
    api.create(a_pod(f"claims-{first}", namespace, template="one-gpu"))


def keys_of(mirror: Mirror) -> set[str]:
    return {str(key).partition("/")[2] for key in mirror.pods.records}


def test_connections_that_drop_lose_nothing_and_invent_nothing(cluster: LocalCluster, namespace: str) -> None:
    with_nodes(cluster, plugin=2, dra=1)
    cluster.api.create(a_queue())
    cluster.api.create(a_claim_template("one-gpu", namespace))

    async def run() -> None:
        proxy = Proxy(cluster.url)
        await proxy.start()
        async with followed(through(proxy, cluster)) as (mirror, following):
            before = proxy.connections
            for round_number in range(3):
                busy = asyncio.create_task(off_loop(a_busy_minute, cluster, namespace, round_number * 20))
                while not busy.done():
                    await asyncio.sleep(0.15)
                    proxy.cut()
                await busy
            await shows_what_is_there(mirror, cluster)
            assert proxy.connections > before
            assert {"p0", "p1", "p21"} <= keys_of(mirror)
            assert not {"p3", "p23", "p43"} & keys_of(mirror)
            assert following.stats[kinds.POD].failures > 0
        await proxy.stop()

    asyncio.run(run())


def test_a_history_that_is_gone_makes_a_new_list(start_cluster: StartCluster) -> None:
    """The API server restarts while the watches are cut off: it refuses the old version with 410."""
    cluster = start_cluster()
    cluster.new_namespace("team")
    with_nodes(cluster, plugin=1)
    cluster.api.create(a_queue())
    cluster.api.create(a_claim_template("one-gpu", "team"))
    cluster.api.create(a_pod("goes", "team"))
    cluster.api.create(a_pod("stays", "team"))

    async def run() -> None:
        proxy = Proxy(cluster.url)
        await proxy.start()
        async with followed(through(proxy, cluster)) as (mirror, following):
            assert {"goes", "stays"} <= keys_of(mirror)
            proxy.hold()
            await off_loop(cluster.api.delete, "Pod", "goes", "team", gracePeriodSeconds=0)
            await off_loop(a_busy_minute, cluster, "team", 0)
            await off_loop(cluster.restart_apiserver)
            proxy.release()
            await until(lambda: following.stats[kinds.POD].expired > 0, "the refusal of the old version")
            await shows_what_is_there(mirror, cluster)
            assert "stays" in keys_of(mirror)
            assert not {"goes", "p3"} & keys_of(mirror)
            assert following.stats[kinds.POD].missed == 0, "what a 410 hid is no miss of the watch"
        await proxy.stop()

    asyncio.run(run())


def _loosen(cluster: LocalCluster, *names: str) -> None:
    """The CRDs as they may have been once: anything goes."""
    for name in names:
        crd = cluster.api.get("CustomResourceDefinition", name)
        for version in crd["spec"]["versions"]:
            version["schema"] = {"openAPIV3Schema": ANYTHING}
        crd["metadata"].pop("managedFields")
        cluster.api.replace(crd)


def _create_when_loose(cluster: LocalCluster, document: dict[str, Any]) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            cluster.api.create(document)
        except Exception:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return


def test_malformed_objects_harm_only_themselves() -> None:
    # A control plane without the conformance watcher: its JSON parser would stumble over the deep claim.
    with LocalCluster(crds=CRDS) as cluster:
        _with_malformed_objects(cluster)
        asyncio.run(_judge_mirror(cluster))


def _with_malformed_objects(cluster: LocalCluster) -> None:
    cluster.new_namespace("team")
    with_nodes(cluster, plugin=1)
    cluster.api.create_all([a_queue("good"), a_pod_group("good", "team", queue="good")])
    _loosen(cluster, "queues.scheduling.run.ai", "podgroups.scheduling.run.ai")
    bad_queue = {**a_queue("bad"), "spec": {"resources": {"gpu": {"quota": "many"}}, "more": {"x": [1]}}}
    bad_group = {**a_pod_group("bad", "team"), "spec": {"queue": ["good"], "minMember": "all"}}
    _create_when_loose(cluster, bad_queue)
    _create_when_loose(cluster, bad_group)
    apply_crds(cluster.api, CRDS)
    _create_deep_claim(cluster, "deep", "team")
    cluster.api.create(a_pod("fine", "team", queue="good"))


async def _judge_mirror(cluster: LocalCluster) -> None:
    async with followed(cluster.kubeconfig) as (mirror, _):
        await shows_what_is_there(mirror, cluster)
        snapshot = mirror.snapshot(NOW, POLICY)
        unreadable = {(problem.kind, problem.key) for problem in snapshot.unreadable}
        assert ("Queue", "bad") in unreadable
        assert ("PodGroup", "team/bad") in unreadable
        assert [queue.name for queue in snapshot.queues] == ["good"]
        assert "team/good" in {group.key for group in snapshot.pod_groups}
        assert [claim.key for claim in snapshot.claims] == ["team/deep"]
        # Mended, the object is as good as any other.
        bad = await off_loop(cluster.api.get, "Queue", "bad")
        await off_loop(cluster.api.replace, {**bad, "spec": a_queue()["spec"]})
        await until(lambda: "bad" in mirror.stock.queues.records, "the mended queue")
        await shows_what_is_there(mirror, cluster)


def _create_deep_claim(cluster: LocalCluster, name: str, namespace: str, depth: int = 1500) -> None:
    """A claim whose opaque parameters nest deeper than a JSON parser of ours goes."""
    mark = "DEEP"
    parameters = {"apiVersion": "x/v1", "kind": "X", "deep": mark}
    opaque = {"opaque": {"driver": "gpu.nvidia.com", "parameters": parameters}}
    request = {"name": "gpu", "exactly": {"deviceClassName": "gpu.nvidia.com"}}
    claim = {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceClaim",
        "metadata": {"name": name},
        "spec": {"devices": {"requests": [request], "config": [opaque]}},
    }
    deep = '{"a":' * depth + "1" + "}" * depth
    api = cluster.api
    answer = api._pool.request(
        "POST",
        f"{api.url}/apis/resource.k8s.io/v1/namespaces/{namespace}/resourceclaims",
        body=json.dumps(claim).replace(f'"{mark}"', deep).encode(),
        headers={**api._headers, "Content-Type": "application/json"},
    )
    assert answer.status == 201, answer.data[:500]


def test_kopf_writes_nothing_on_what_it_watches(cluster: LocalCluster, namespace: str) -> None:
    objects = [a_queue("q1"), a_queue("q2", parentQueue="q1"), a_pod_group("g", namespace, queue="q2")]
    objects.append(
        {
            "apiVersion": "kai.scheduler/v1alpha1",
            "kind": "Topology",
            "metadata": {"name": "racks"},
            "spec": {"levels": [{"nodeLabel": "rack"}]},
        }
    )
    made = {one["metadata"]["name"]: one for one in cluster.api.create_all(objects)}
    seen: dict[str, int] = {}

    async def run() -> None:
        def sink(_kind: object, _type: str | None, document: dict[str, Any]) -> None:
            name = document["metadata"]["name"]
            seen[name] = seen.get(name, 0) + 1

        watch = KopfWatch(sink, cluster.kubeconfig)
        watch.start()
        try:
            await until(lambda: made.keys() <= seen.keys(), "the first sightings")
            await off_loop(cluster.api.patch, "Queue", "q1", body={"spec": {"priority": 7}})
            await until(lambda: seen["q1"] > 1, "the change")
            await asyncio.sleep(1.0)
        finally:
            await watch.stop()

    asyncio.run(run())

    assert len(WATCHED) == 4
    for name, before in made.items():
        after = cluster.api.get(before["kind"], name, before["metadata"].get("namespace", ""))
        managers = {entry["manager"] for entry in after["metadata"]["managedFields"]}
        assert not [manager for manager in managers if "kopf" in manager]
        assert "finalizers" not in after["metadata"]
        assert "annotations" not in after["metadata"]
        if name != "q1":
            assert after == before


def test_kopf_watches_for_a_user_without_a_name(
    cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nameless() -> str:
        message = "getpwuid(): uid not found: 65532"
        raise KeyError(message)

    monkeypatch.setattr("getpass.getuser", nameless)
    cluster.api.create(a_queue("q2"))
    seen: set[str] = set()

    async def run() -> None:
        def sink(_kind: object, _type: str | None, document: dict[str, Any]) -> None:
            seen.add(document["metadata"]["name"])

        watch = KopfWatch(sink, cluster.kubeconfig)
        watch.start()
        try:
            await until(lambda: "q2" in seen, "the queue")
        finally:
            await watch.stop()

    asyncio.run(run())

    assert "q2" in seen
