"""The provider ``kind``: Kubernetes in containers, with fake nodes beside the real one.

kwok runs on this machine and plays only the nodes that carry its annotation, which those of fleets do.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import yaml

from kai_sched.errors import ControlPlaneError
from kai_sched.localcluster import processes
from kai_sched.localcluster.admin import AdminApi
from kai_sched.localcluster.binaries import Tool, ensure
from kai_sched.localcluster.fleet.publish import publish
from kai_sched.localcluster.providers.ports import ProviderName, Record, Wish
from kai_sched.localcluster.recipe import FEATURE_GATES, RUNTIME_CONFIG, Layout, kwok_flags
from kai_sched.localcluster.setup import apply_crds

_READY_WAIT = "180s"
_DOCKER_SECONDS = 30


class KindProvider:
    """Clusters made by the ``kind`` program with Docker."""

    def up(self, wish: Wish) -> Record:
        check_docker()
        wish.on_progress("creating the kind cluster")
        kubeconfig = wish.folder / "kubeconfig"
        config = wish.folder / "kind.yaml"
        config.write_text(yaml.safe_dump(kind_config(), sort_keys=False))
        try:
            _run(
                ["create", "cluster", f"--name={_cluster_name(wish.name)}", f"--config={config}"],
                [f"--kubeconfig={kubeconfig}", f"--wait={_READY_WAIT}"],
            )
            api = AdminApi.from_kubeconfig(kubeconfig)
            self._fill(api, kubeconfig, wish)
        except BaseException:
            self.down(wish.folder, wish.name)
            raise
        return Record(
            name=wish.name,
            provider=ProviderName.KIND,
            folder=wish.folder,
            kubeconfig=kubeconfig,
            url=api.url,
        )

    def down(self, folder: Path, name: str) -> None:
        processes.end_all(Layout(folder.resolve()))
        kubeconfig = folder / "kubeconfig"
        _run(["delete", "cluster", f"--name={_cluster_name(name)}"], [f"--kubeconfig={kubeconfig}"])

    def parts(self, record: Record) -> dict[str, bool]:
        known = _run(["get", "clusters"], []).split()
        layout = Layout(record.folder)
        kwok = any(processes.is_alive(layout, part) for part in processes.recorded(layout))
        return {"kind": _cluster_name(record.name) in known, Tool.KWOK.value: kwok}

    def _fill(self, api: AdminApi, kubeconfig: Path, wish: Wish) -> None:
        kwok = ensure([Tool.KWOK])[Tool.KWOK]
        layout = Layout(wish.folder.resolve())
        processes.launch(layout, 0, Tool.KWOK.value, [kwok, *kwok_flags(kubeconfig, only_annotated=True)])
        if wish.crds is not None:
            wish.on_progress("applying CRDs")
            apply_crds(api, wish.crds)
        if wish.objects:
            wish.on_progress(f"creating {len(wish.objects)} objects")
            publish(api, wish.objects)


def kind_config() -> dict[str, object]:
    """One real node, and the gates and API versions of the recipe."""
    return {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "featureGates": _switches(FEATURE_GATES),
        "runtimeConfig": {key: value for key, _, value in _pairs(RUNTIME_CONFIG)},
        "nodes": [{"role": "control-plane"}],
    }


def check_docker() -> None:
    """Raises ``ControlPlaneError`` with one line saying what is missing."""
    hint = "start Docker, or leave out `--provider kind`: the provider `local` needs none"
    docker = shutil.which("docker")
    if docker is None:
        raise ControlPlaneError(f"kind needs Docker, and there is no `docker` on PATH: {hint}")
    try:
        answer = subprocess.run(
            [docker, "info", "--format", "{{.ServerVersion}}"],
            capture_output=True,
            text=True,
            check=False,
            timeout=_DOCKER_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise ControlPlaneError(f"kind needs Docker, whose daemon does not answer: {hint}") from error
    if answer.returncode != 0:
        said = (answer.stderr.strip() or answer.stdout.strip()).splitlines()
        reason = f" ({said[-1]})" if said else ""
        raise ControlPlaneError(f"kind needs Docker, whose daemon does not answer{reason}: {hint}")


def _run(command: Sequence[str], options: Sequence[str]) -> str:
    kind = ensure([Tool.KIND])[Tool.KIND]
    answer = subprocess.run([kind, *command, *options], capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        said = " | ".join(answer.stderr.strip().splitlines()[-3:]) or "no output"
        raise ControlPlaneError(f"kind {' '.join(command)} failed: {said}")
    return answer.stdout


def _cluster_name(name: str) -> str:
    return f"kai-sched-{name}"


def _switches(text: str) -> dict[str, bool]:
    return {key: value == "true" for key, _, value in _pairs(text)}


def _pairs(text: str) -> list[tuple[str, str, str]]:
    return [part.partition("=") for part in text.split(",")]
