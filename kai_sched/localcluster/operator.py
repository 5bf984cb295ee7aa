"""The operator beside a local control plane, as a process of its own under the role that real clusters give it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

import yaml

from kai_sched.localcluster import processes
from kai_sched.localcluster.cluster import LocalCluster

NAMESPACE: Final = "kai-sched"
ACCOUNT: Final = "kai-sched"
_MANIFESTS: Final = ("rbac.yaml", "priority-classes.yaml")
_NAME: Final = "operator"
_ORDER: Final = 50
"""Started after the control plane, so it is ended before it."""


def install_role(cluster: LocalCluster, manifests: Path) -> None:
    """The ServiceAccount, its role and KAI's priority classes, from the files that real clusters get."""
    cluster.new_namespace(NAMESPACE)
    for name in _MANIFESTS:
        for document in _documents(manifests / name):
            cluster.api.apply(document)


def launch_operator(cluster: LocalCluster, *flags: str) -> Path:
    """Starts ``kai-sched run`` under the account of ``install_role``; its JSON log is returned. It ends with the cluster."""
    config = cluster.kubeconfig_for(ACCOUNT, NAMESPACE)
    command = [sys.executable, "-m", "kai_sched", "run", "--kubeconfig", str(config), "--log-format", "json"]
    processes.launch(cluster.layout, _ORDER, _NAME, [*command, *flags])
    return cluster.layout.logs / f"{_NAME}.log"


def end_operator(cluster: LocalCluster) -> None:
    """Asks the operator to end, and waits for it."""
    for part in processes.recorded(cluster.layout):
        if part.name == _NAME:
            processes.end(cluster.layout, part)


def _documents(path: Path) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]
