"""The operator beside a local control plane, as a process of its own under the role that real clusters give it."""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from kai_sched.localcluster import processes
from kai_sched.localcluster.cluster import LocalCluster

NAMESPACE: Final = "kai-sched"
ACCOUNT: Final = "kai-sched"
_MANIFESTS: Final = ("rbac.yaml", "priority-classes.yaml")
_ORDER: Final = 50
"""Started after the control plane, so it is ended before it."""


def install_role(cluster: LocalCluster, manifests: Path) -> None:
    """The ServiceAccount, its role and KAI's priority classes, from the files that real clusters get."""
    cluster.new_namespace(NAMESPACE)
    for name in _MANIFESTS:
        for document in _documents(manifests / name):
            cluster.api.apply(document)


def launch_operator(
    cluster: LocalCluster,
    *flags: str,
    name: str = "operator",
    kubeconfig: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Path:
    """Starts ``kai-sched run``; its JSON log is returned. It ends with the cluster, or by ``end_operator``.

    ``kubeconfig`` is by default one of the ServiceAccount that ``install_role`` made.
    """
    config = kubeconfig or cluster.kubeconfig_for(ACCOUNT, NAMESPACE)
    command = [sys.executable, "-m", "kai_sched", "run", "--kubeconfig", str(config), "--log-format", "json"]
    if environment:
        command = ["/usr/bin/env", *(f"{key}={value}" for key, value in environment.items()), *command]
    processes.launch(cluster.layout, _ORDER, name, [*command, *flags])
    return cluster.layout.logs / f"{name}.log"


def operator_pid(cluster: LocalCluster, name: str = "operator") -> int | None:
    """The process id of a running operator."""
    return cluster.alive().get(name)


def end_operator(cluster: LocalCluster, name: str = "operator", *, kill: bool = False) -> None:
    """Ends an operator, by SIGTERM or as a crash would (``kill``)."""
    for part in processes.recorded(cluster.layout):
        if part.name == name:
            processes.end(cluster.layout, part, first=signal.SIGKILL if kill else signal.SIGTERM)


def _documents(path: Path) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]
