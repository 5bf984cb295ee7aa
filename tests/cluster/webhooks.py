"""Our webhook as a process of its own, under the ServiceAccount and role of manifests/webhook, called by the API server."""

from __future__ import annotations

import base64
import itertools
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from kai_sched.localcluster import LocalCluster
from kai_sched.localcluster.fleet import Fleet, fleet_objects
from kai_sched.localcluster.fleet.publish import publish
from kai_sched.localcluster.pki import WEBHOOK_CLIENT
from kai_sched.localcluster.recipe import Layout
from tests.cluster.objects import a_pod
from tests.cluster.operators import ROOT, manifest

Document = dict[str, Any]
CONFIGURATION = ROOT / "manifests" / "webhook" / "webhook.yaml"
_numbers = itertools.count(1)


class RunningWebhook:
    """One webhook process; started again it serves on the same port."""

    def __init__(self, cluster: LocalCluster, account: str, *flags: str) -> None:
        self._layout = Layout(cluster.folder)
        with socket.socket() as held:
            held.bind(("127.0.0.1", 0))
            self.port: int = held.getsockname()[1]
        kubeconfig = cluster.kubeconfig_for(f"{account}-webhook", account)
        self._command = [sys.executable, "-m", "kai_sched", "webhook", "--kubeconfig", str(kubeconfig)]
        self._command += ["--device-class", "gpu.nvidia.com", "--host", "127.0.0.1", "--port", str(self.port)]
        self._command += ["--certificate", str(self._layout.server_certificate)]
        self._command += ["--key", str(self._layout.server_key), "--client-ca", str(self._layout.ca)]
        self._command += ["--client-name", WEBHOOK_CLIENT, *flags]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Until it listens."""
        self._process = subprocess.Popen(
            self._command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            else:
                return

    def stop(self) -> None:
        """SIGTERM; it must end well. Safe to call twice."""
        if self._process is not None:
            self._process.terminate()
            code = self._process.wait(timeout=10)
            self._process = None
            assert code == 0


@contextmanager
def webhook_on(cluster: LocalCluster, *flags: str) -> Iterator[RunningWebhook]:
    """A webhook that is called for new pods; it must never have been refused anything."""
    account = f"kai-hook-{next(_numbers)}"
    cluster.new_namespace(account)
    for document in manifest("webhook/rbac.yaml", account):
        cluster.api.apply(document)
    running = RunningWebhook(cluster, account, *flags)
    try:
        running.start()
        cluster.api.create(a_configuration(running.port, cluster.ca))
        yield running
    finally:
        running.stop()
        cluster.api.delete("ClusterRoleBinding", f"{account}-webhook")
        cluster.api.delete("ClusterRole", f"{account}-webhook")
    user = f"system:serviceaccount:{account}:{account}-webhook"
    lines = [line for line in cluster.audit_log.read_text().splitlines() if user in line]
    codes = [(json.loads(line).get("responseStatus") or {}).get("code") for line in lines]
    assert codes
    assert 403 not in codes


def a_configuration(port: int, ca: Path) -> Document:
    """The one of manifests/, with an address in place of the service."""
    document: Document = yaml.safe_load(CONFIGURATION.read_text())
    (hook,) = document["webhooks"]
    hook["clientConfig"] = {
        "url": f"https://127.0.0.1:{port}{hook['clientConfig']['service']['path']}",
        "caBundle": base64.b64encode(ca.read_bytes()).decode(),
    }
    # A test must not pass because the API server went on without it.
    hook["failurePolicy"] = "Fail"
    return document


def with_gpus(cluster: LocalCluster, *, count: int = 2, **device: Any) -> None:
    """One node with so many GPUs; ``sharing="memory"``: several claims may have a part of one."""
    fleet = {
        "apiVersion": "kai-sched.dev/v1alpha1",
        "kind": "Fleet",
        "pools": [
            {
                "name": "shared",
                "count": 1,
                "devices": [{"profile": "nvidia-h100", "count": count, **device}],
            }
        ],
    }
    publish(cluster.api, fleet_objects(Fleet.model_validate(fleet)))


def a_sharing_pod(name: str, namespace: str, **annotations: str) -> Document:
    """A pod that asks for a part of a GPU: ``gpu_fraction="0.5"``."""
    pod = a_pod(name, namespace)
    pod["metadata"]["annotations"] = {key.replace("_", "-"): value for key, value in annotations.items()}
    return pod


def create_when_called(cluster: LocalCluster, pod: Document) -> Document:
    """The API server takes a moment until it calls a webhook that is new."""
    deadline = time.monotonic() + 20
    while True:
        made = cluster.api.create(pod)
        if made["spec"].get("resourceClaims") or time.monotonic() > deadline:
            return made
        cluster.api.delete(
            "Pod", made["metadata"]["name"], made["metadata"]["namespace"], gracePeriodSeconds=0
        )
        time.sleep(0.3)


def running(cluster: LocalCluster, namespace: str) -> set[str]:
    """Names of the pods that run."""
    pods = cluster.api.list("Pod", namespace)
    return {pod["metadata"]["name"] for pod in pods if pod["status"]["phase"] == "Running"}


def waiting_reasons(cluster: LocalCluster, namespace: str) -> str:
    """What pods that wait say about it."""
    return "; ".join(
        f"{condition.get('reason')}: {condition.get('message')}"
        for pod in cluster.api.list("Pod", namespace)
        for condition in pod["status"].get("conditions", ())
        if condition["type"] == "PodScheduled" and condition["status"] == "False"
    )
