"""Finds the binaries of the control plane, and builds those that are missing.

Looked for in this order: ``KUBEBUILDER_ASSETS``, PATH, the user's cache folder. The first two count only where the
version suits the recipe: an API server of another minor version would refuse its feature gates.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from kai_sched.localcluster.build import build_missing
from kai_sched.localcluster.folders import binary_folder
from kai_sched.localcluster.recipe import MINOR


class Tool(StrEnum):
    """The programs of a local control plane."""

    ETCD = "etcd"
    APISERVER = "kube-apiserver"
    CONTROLLER_MANAGER = "kube-controller-manager"
    KWOK = "kwok"
    KUBECTL = "kubectl"
    SCHEDULER = "kube-scheduler"
    KIND = "kind"


CONTROL_PLANE = (Tool.ETCD, Tool.APISERVER, Tool.CONTROLLER_MANAGER, Tool.KWOK)
"""What a cluster cannot start without."""
ALL_BUT_KIND = (*CONTROL_PLANE, Tool.KUBECTL, Tool.SCHEDULER)
"""What ``dev build`` makes: kind is of use only where Docker is, and built when asked for."""

PACKAGES = {
    Tool.ETCD: "go.etcd.io/etcd/server/v3",
    Tool.APISERVER: "k8s.io/kubernetes/cmd/kube-apiserver",
    Tool.CONTROLLER_MANAGER: "k8s.io/kubernetes/cmd/kube-controller-manager",
    Tool.KWOK: "sigs.k8s.io/kwok/cmd/kwok",
    Tool.KUBECTL: "k8s.io/kubernetes/cmd/kubectl",
    Tool.SCHEDULER: "k8s.io/kubernetes/cmd/kube-scheduler",
    Tool.KIND: "sigs.k8s.io/kind",
}

Version = tuple[int, ...]
_ACCEPTED: dict[Tool, Callable[[Version], bool]] = {
    Tool.ETCD: lambda version: version >= (3, 6),
    Tool.KWOK: lambda version: version >= (0, 7),
    Tool.KIND: lambda version: version >= (0, 33),
    Tool.APISERVER: lambda version: version == MINOR,
    Tool.CONTROLLER_MANAGER: lambda version: version == MINOR,
    Tool.SCHEDULER: lambda version: version == MINOR,
    # kubectl is supported within one minor version of the server.
    Tool.KUBECTL: lambda version: version[0] == MINOR[0] and abs(version[1] - MINOR[1]) <= 1,
}


@dataclass(frozen=True, slots=True)
class Located:
    """Where a binary is and why there; ``path`` None: it has to be built."""

    tool: Tool
    path: Path | None
    source: str
    passed_over: tuple[str, ...] = ()
    """Binaries found earlier in the order whose version does not suit, for the curious user."""


def locate(tool: Tool) -> Located:
    """Looks for one binary without building it."""
    passed_over: list[str] = []
    for source, path in _outside_the_cache(tool):
        version = _version_of(tool, path)
        if version and _ACCEPTED[tool](version):
            return Located(tool, path, source, tuple(passed_over))
        shown = ".".join(map(str, version)) or "of unknown version"
        passed_over.append(f"{path} is {shown}")
    cached = binary_folder() / tool.value
    if os.access(cached, os.X_OK):
        return Located(tool, cached, "cache", tuple(passed_over))
    return Located(tool, None, "to be built", tuple(passed_over))


def ensure(tools: Iterable[Tool] = CONTROL_PLANE) -> dict[Tool, Path]:
    """The path of every tool asked for; what is nowhere is built into the cache, with its progress shown."""
    wanted = tuple(tools)
    found = {tool: locate(tool).path for tool in wanted}
    missing = [tool for tool, path in found.items() if path is None]
    if missing:
        build_missing({tool.value: PACKAGES[tool] for tool in missing}, binary_folder())
    return {tool: path or binary_folder() / tool.value for tool, path in found.items()}


def _outside_the_cache(tool: Tool) -> Iterator[tuple[str, Path]]:
    assets = os.environ.get("KUBEBUILDER_ASSETS", "")
    if assets and os.access(Path(assets) / tool.value, os.X_OK):
        yield "KUBEBUILDER_ASSETS", Path(assets) / tool.value
    on_path = shutil.which(tool.value)
    if on_path:
        yield "PATH", Path(on_path)


def _version_of(tool: Tool, path: Path) -> Version:
    """Major and minor version as the binary prints it, empty if it does not."""
    arguments = ["version", "--client"] if tool is Tool.KUBECTL else ["--version"]
    try:
        answer = subprocess.run([path, *arguments], capture_output=True, text=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return ()
    match = re.search(r"(\d+)\.(\d+)\.\d+", answer.stdout)
    return tuple(int(part) for part in match.groups()) if match else ()
