"""The schedulers that are compared: how each is started on a control plane, and by which name pods ask for it."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import yaml

from kai_sched.localcluster import LocalCluster, recipe

ROOT = Path(__file__).parents[2]
NAMESPACE = "kai-sched"
_STOP_SECONDS = 20.0


class Rival(Protocol):
    """A scheduler under measurement."""

    @property
    def name(self) -> str: ...

    @property
    def scheduler_name(self) -> str:
        """What pods write into ``spec.schedulerName``."""
        ...

    @property
    def configuration(self) -> str:
        """How it was run, for the report."""
        ...

    def prepare(self, cluster: LocalCluster) -> None:
        """What it needs on a new control plane: roles, queues."""
        ...

    def running(self, cluster: LocalCluster) -> AbstractContextManager[int]:
        """Runs inside the block, of which the process id is given."""
        ...


@dataclass(frozen=True, slots=True)
class KubeScheduler:
    """The baseline, of the same release as the control plane, without client limits."""

    name: str = "kube-scheduler"
    scheduler_name: str = "default-scheduler"

    @property
    def configuration(self) -> str:
        flags = [flag for flag in recipe.scheduler_flags(Path("...")) if "kubeconfig" not in flag]
        return f"kube-scheduler {recipe.VERSION} {' '.join(flags)}"

    def prepare(self, cluster: LocalCluster) -> None:
        """Nothing: it runs as the admin and knows no queues."""

    @contextmanager
    def running(self, cluster: LocalCluster) -> Iterator[int]:
        cluster.start_scheduler()
        try:
            yield cluster.alive()["kube-scheduler"]
        finally:
            cluster.stop_scheduler()


@dataclass(frozen=True, slots=True)
class OurOperator:
    """``kai-sched run`` with its defaults, under the ServiceAccount and role of manifests/."""

    name: str = "kai-sched"
    scheduler_name: str = "kai-scheduler"

    @property
    def configuration(self) -> str:
        return " ".join(_command(Path("..."))[2:])

    def prepare(self, cluster: LocalCluster) -> None:
        cluster.new_namespace(NAMESPACE)
        for file in ("rbac.yaml", "priority-classes.yaml", "default-queues.yaml"):
            for document in _documents(ROOT / "manifests" / file):
                cluster.api.apply(document)

    @contextmanager
    def running(self, cluster: LocalCluster) -> Iterator[int]:
        kubeconfig = cluster.kubeconfig_for(NAMESPACE, NAMESPACE)
        with (cluster.folder / "operator.log").open("ab") as log:
            process = subprocess.Popen(_command(kubeconfig), stdout=log, stderr=log, cwd=ROOT)
        try:
            yield process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _command(kubeconfig: Path) -> list[str]:
    ports = ["--metrics-port", "0", "--health-port", "0"]
    return [
        sys.executable,
        "-m",
        "kai_sched",
        "run",
        "--kubeconfig",
        str(kubeconfig),
        "--log-format",
        "json",
        *ports,
    ]


def _documents(path: Path) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]
