"""The local control plane starts, is real, survives a dead API server and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kai_sched.errors import ApiFailure, ControlPlaneError
from kai_sched.localcluster import Audit, LocalCluster
from kai_sched.localcluster.admin import AdminApi

NODE = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {"name": "n1"},
    "status": {
        "capacity": {"cpu": "4", "memory": "8Gi", "pods": "10"},
        "allocatable": {"cpu": "4", "memory": "8Gi", "pods": "10"},
    },
}


def a_pod_document(name: str, namespace: str, **metadata: object) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, **metadata},
        "spec": {"schedulerName": "nobody", "containers": [{"name": "c", "image": "x"}]},
    }


def wait_until(is_true: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def phase_of(api: AdminApi, name: str, namespace: str) -> str:
    return str(api.get("Pod", name, namespace)["status"]["phase"])


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_bound_pod_runs_and_ends_when_its_annotation_says(cluster: LocalCluster, namespace: str) -> None:
    cluster.api.create(NODE)
    cluster.api.create(a_pod_document("long", namespace))
    cluster.api.create(
        a_pod_document("short", namespace, annotations={"kai-sched.dev/fake-run-for": "200ms"})
    )

    cluster.api.bind("long", "n1", namespace)
    cluster.api.bind("short", "n1", namespace)

    wait_until(lambda: phase_of(cluster.api, "short", namespace) == "Succeeded")
    wait_until(lambda: phase_of(cluster.api, "long", namespace) == "Running")


def test_a_deleted_pod_goes(cluster: LocalCluster, namespace: str) -> None:
    cluster.api.create(NODE)
    cluster.api.create(a_pod_document("p", namespace))
    cluster.api.bind("p", "n1", namespace)
    wait_until(lambda: phase_of(cluster.api, "p", namespace) == "Running")

    cluster.api.delete("Pod", "p", namespace)

    wait_until(lambda: cluster.api.list("Pod", namespace) == [])


def test_a_test_finds_the_cluster_empty(cluster: LocalCluster) -> None:
    assert cluster.api.list("Node") == []
    assert cluster.api.list("Pod") == []


def test_a_service_account_has_only_its_own_rights(cluster: LocalCluster, namespace: str) -> None:
    kubeconfig = cluster.kubeconfig_for("default", namespace)

    with pytest.raises(ApiFailure, match=f"system:serviceaccount:{namespace}:default") as refusal:
        AdminApi.from_kubeconfig(kubeconfig).list("Node")

    assert refusal.value.status == 403


def test_kubectl_speaks_to_it_and_its_complaint_is_an_error(cluster: LocalCluster) -> None:
    assert "kube-system" in cluster.kubectl("get", "namespaces")
    with pytest.raises(ControlPlaneError, match='nodes "missing" not found'):
        cluster.kubectl("get", "node", "missing")


def test_objects_survive_a_killed_api_server(start_cluster: Callable[..., LocalCluster]) -> None:
    cluster = start_cluster(objects=[NODE], crds=None)
    cluster.kill_apiserver()
    with pytest.raises(ApiFailure):
        cluster.api.get("Node", "n1")

    cluster.start_apiserver()

    assert cluster.api.get("Node", "n1")["metadata"]["name"] == "n1"
    cluster.api.create(a_pod_document("p", "default"))
    cluster.api.bind("p", "n1")
    wait_until(lambda: phase_of(cluster.api, "p", "default") == "Running")


def test_the_audit_log_holds_the_bindings(start_cluster: Callable[..., LocalCluster]) -> None:
    cluster = start_cluster(objects=[NODE], crds=None, audit=Audit.BINDINGS, kube_scheduler=True)
    pod = a_pod_document("p", "default")
    pod["spec"] = {"containers": [{"name": "c", "image": "x"}]}
    cluster.api.create(pod)

    wait_until(lambda: phase_of(cluster.api, "p", "default") == "Running")

    lines = cluster.audit_log.read_text().splitlines()
    assert len(lines) == 1
    assert '"subresource":"binding"' in lines[0]


def test_an_exception_inside_ends_all_processes_and_removes_the_folder() -> None:
    cluster = LocalCluster()
    pids: list[int] = []

    def fail_inside() -> None:
        with cluster:
            pids.extend(cluster.alive().values())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_inside()

    assert len(pids) == 4
    assert not any(is_running(pid) for pid in pids)
    assert not cluster.folder.exists()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_end_of_the_owner_ends_all_processes(how: signal.Signals, tmp_path: Path) -> None:
    told = tmp_path / "told"
    program = (
        "import pathlib, sys, time\n"
        "from kai_sched.localcluster import LocalCluster\n"
        "with LocalCluster() as cluster:\n"
        "    text = ' '.join(map(str, cluster.alive().values())) + f' {cluster.folder}'\n"
        "    pathlib.Path(sys.argv[1]).write_text(text)\n"
        "    time.sleep(60)\n"
    )
    owner = subprocess.Popen([sys.executable, "-c", program, str(told)], stderr=subprocess.DEVNULL)
    wait_until(lambda: told.exists() and told.read_text() != "", seconds=60)
    *pids, folder = told.read_text().split()

    owner.send_signal(how)
    owner.wait(timeout=30)

    wait_until(lambda: not any(is_running(int(pid)) for pid in pids))
    wait_until(lambda: not Path(folder).exists())
