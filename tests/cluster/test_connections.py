"""Connections to the API server: opened before a burst, as many as the pool has, and not again while they are open."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from kai_sched.cluster.kube.client import KubeClient
from kai_sched.cluster.kube.transport import ClientOptions
from kai_sched.localcluster import LocalCluster
from tests.cluster.objects import a_pod, a_queue, with_nodes
from tests.cluster.operators import StartOperator

ESTABLISHED = "01"


def connections_to(url: str, process: int | str = "self") -> int:
    """How many connections that process has to that server."""
    port = f"{urlsplit(url).port:04X}"
    inodes: set[str] = set()
    for entry in Path(f"/proc/{process}/fd").iterdir():
        with suppress(OSError):
            inodes.add(str(entry.readlink()).removeprefix("socket:[").removesuffix("]"))
    lines = Path(f"/proc/{process}/net/tcp").read_text().splitlines()[1:]
    fields = [line.split() for line in lines]
    return sum(one[2].endswith(f":{port}") and one[3] == ESTABLISHED and one[9] in inodes for one in fields)


def server_of(kubeconfig: Path) -> str:
    """Address of the kubeconfig's only cluster."""
    (entry,) = yaml.safe_load(kubeconfig.read_text())["clusters"]
    return str(entry["cluster"]["server"])


async def test_as_many_connections_are_opened_as_asked_for_and_the_pool_allows(cluster: LocalCluster) -> None:
    options = ClientOptions(pool_size=16)
    async with await KubeClient.connect(cluster.kubeconfig, options=options) as client:
        before = connections_to(client.base_url)
        await client.open_ahead(5)
        assert connections_to(client.base_url) - before == 5

        await client.open_ahead(50)
        assert connections_to(client.base_url) - before == 16


async def test_connections_that_are_open_are_not_asked_for_again(cluster: LocalCluster) -> None:
    async with await KubeClient.connect(cluster.kubeconfig) as client:
        await client.open_ahead(10)
        began = time.perf_counter()
        await client.get("/version")
        one_call = time.perf_counter() - began

        # Without a call the event loop has nothing to wait for.
        async with asyncio.timeout(one_call / 10):
            await client.open_ahead(10)


async def test_a_limit_of_requests_is_not_spent_on_connections(cluster: LocalCluster) -> None:
    options = ClientOptions(requests_per_second=1.0, burst=2)
    async with await KubeClient.connect(cluster.kubeconfig, options=options) as client:
        before = connections_to(client.base_url)
        await client.open_ahead(10)
        assert connections_to(client.base_url) == before


async def test_a_server_that_does_not_answer_is_no_failure(cluster: LocalCluster, tmp_path: Path) -> None:
    port = urlsplit(server_of(cluster.kubeconfig)).port
    nowhere = tmp_path / "kubeconfig"
    nowhere.write_text(cluster.kubeconfig.read_text().replace(f":{port}", ":1"))
    async with await KubeClient.connect(nowhere) as client:
        await client.open_ahead(3)
        assert connections_to(client.base_url) == 0


def test_an_operator_opens_connections_for_pods_before_it_knows_whether_they_fit(
    cluster: LocalCluster, namespace: str, start_operator: StartOperator
) -> None:
    with_nodes(cluster, plugin=1, gpus=2)
    cluster.api.create(a_queue())
    waiting = 40
    cluster.api.create_all([a_pod(f"p{number}", namespace, gpus=4) for number in range(waiting)])

    operator = start_operator("--no-lease")

    url = server_of(cluster.kubeconfig)
    operator.wait_until(lambda: connections_to(url, operator.process.pid) >= waiting, "the connections")
    assert not any(pod["spec"].get("nodeName") for pod in cluster.api.list("Pod", namespace))
