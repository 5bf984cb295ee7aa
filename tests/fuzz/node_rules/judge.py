"""kube-scheduler as a judge: for a pending pod, the nodes that pass its filters, and nothing is bound.

A scheduler extender is asked last, with the nodes that every filter of kube-scheduler let pass. It writes them down and
refuses them all, so that the pod stays where it is and the cluster as it was.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from kai_sched.errors import ApiFailure
from kai_sched.localcluster import LocalCluster, processes
from kai_sched.localcluster.admin import AdminApi
from kai_sched.localcluster.binaries import Tool
from tests.fuzz.node_rules.stage import NAMESPACES, PERMANENT, make_claims

Document = dict[str, Any]
PROBE = "probe-"
"""How the names of pods begin that kube-scheduler is asked about."""
NO_OWNERS: Mapping[str, str] = {}
FITS = "fits"
"""What the extender says of every node that it refuses."""
_BACKGROUND = (Tool.CONTROLLER_MANAGER, Tool.KWOK)
"""Who would change the objects of a case behind its back."""
_POLL_SECONDS = 0.02
_PATIENCE_SECONDS = 30.0


@dataclass(frozen=True)
class Answer:
    """``nodes``: those that passed every filter. ``message``: what the pod's condition says."""

    nodes: frozenset[str]
    message: str


class Judge:
    """A running kube-scheduler that binds nothing. Use ``a_judge``."""

    def __init__(self, cluster: LocalCluster, passed: dict[str, frozenset[str]]) -> None:
        self.api: AdminApi = cluster.api
        self._passed = passed

    def ask(
        self, probes: Iterable[Document], owners: Mapping[str, str] = NO_OWNERS
    ) -> dict[str, Answer | str]:
        """Answers by the key of the pod, or why the API server does not take it; the pods are there afterwards."""
        wanted = list(probes)
        with ThreadPoolExecutor(8) as pool:
            made = list(pool.map(lambda probe: self._create(probe, owners), wanted))
        answers: dict[str, Answer | str] = {}
        waiting: dict[str, str] = {}
        for probe, outcome in zip(wanted, made, strict=True):
            key = key_of(probe)
            if isinstance(outcome, str):
                answers[key] = outcome
            else:
                waiting[key] = outcome["metadata"]["uid"]
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while len(answers) < len(wanted):
            for pod in self.api.list("Pod"):
                key = key_of(pod)
                told = _refusal(pod) if waiting.get(key) == pod["metadata"]["uid"] else None
                if told is not None:
                    answers[key] = Answer(self._passed.get(waiting[key], frozenset()), told)
            if time.monotonic() > deadline:
                missing = sorted(set(waiting) - set(answers))
                raise AssertionError(f"kube-scheduler says nothing about {missing}")
            time.sleep(_POLL_SECONDS)
        return answers

    def forget(self, probes: Iterable[Document]) -> None:
        """Takes the pods away again."""
        with ThreadPoolExecutor(8) as pool:
            for _ in pool.map(
                self._forget,
                probes,
            ):
                pass

    def _forget(self, probe: Document) -> None:
        metadata = probe["metadata"]
        self.api.delete("Pod", metadata["name"], metadata["namespace"], gracePeriodSeconds=0)
        for volume in probe["spec"]["volumes"]:
            if "ephemeral" in volume:
                place = (f"{metadata['name']}-{volume['name']}", metadata["namespace"])
                with contextlib.suppress(ApiFailure):
                    self.api.patch("PersistentVolumeClaim", *place, body={"metadata": {"finalizers": None}})
                self.api.delete("PersistentVolumeClaim", *place)

    def _create(self, probe: Document, owners: Mapping[str, str]) -> Document | str:
        try:
            made = self.api.create(probe)
        except ApiFailure as failure:
            if failure.status in {400, 403, 422}:
                return str(failure)
            raise
        if probe["metadata"]["name"] in owners:
            make_claims(self.api, made, owners[probe["metadata"]["name"]])
        return made


def key_of(raw: Document) -> str:
    """``namespace/name``."""
    return f"{raw['metadata']['namespace']}/{raw['metadata']['name']}"


def _refusal(pod: Document) -> str | None:
    """What the scheduler wrote when it found no node; None before it did."""
    for condition in pod.get("status", {}).get("conditions", ()):
        is_gated = condition.get("reason") == "SchedulingGated"
        if condition["type"] == "PodScheduled" and condition["status"] == "False" and not is_gated:
            return str(condition.get("message", ""))
    return None


@contextmanager
def a_judge() -> Iterator[Judge]:
    """A control plane of its own without controllers and kubelets, and kube-scheduler with the extender."""
    passed: dict[str, frozenset[str]] = {}
    with _extender(passed) as url, LocalCluster(name="node-rules") as cluster:
        for name, labels in NAMESPACES.items():
            cluster.new_namespace(name)
            cluster.api.patch("Namespace", name, body={"metadata": {"labels": labels}})
        for document in PERMANENT:
            cluster.api.create(document)
        for part in processes.recorded(cluster.layout):
            if part.name in _BACKGROUND:
                processes.end(cluster.layout, part)
        configuration = cluster.folder / "scheduler.json"
        configuration.write_text(json.dumps(_configuration(cluster, url)))
        cluster.start_scheduler(f"--config={configuration}")
        yield Judge(cluster, passed)


def _configuration(cluster: LocalCluster, url: str) -> Document:
    return {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "clientConnection": {"kubeconfig": str(cluster.kubeconfig), "qps": 5000, "burst": 5000},
        "leaderElection": {"leaderElect": False},
        "percentageOfNodesToScore": 100,
        "extenders": [
            {"urlPrefix": url, "filterVerb": "filter", "nodeCacheCapable": True, "httpTimeout": "10s"}
        ],
    }


@contextmanager
def _extender(passed: dict[str, frozenset[str]]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            names = asked.get("NodeNames") or []
            passed[asked["Pod"]["metadata"]["uid"]] = frozenset(names)
            answer = {"NodeNames": [], "FailedAndUnresolvableNodes": dict.fromkeys(names, FITS)}
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
