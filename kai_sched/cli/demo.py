"""``kai-sched demo``: the main job, on a real control plane: a fake GPU fleet, queues, gangs, and who landed where."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console

from kai_sched.api.files import read_file
from kai_sched.cli import demo_report as report
from kai_sched.cli.output import console
from kai_sched.errors import ControlPlaneError, InvalidInput
from kai_sched.localcluster import LocalCluster
from kai_sched.localcluster.conformance import ConformanceWatcher
from kai_sched.localcluster.fleet import fleet_objects, read_fleet
from kai_sched.localcluster.fleet.publish import publish
from kai_sched.localcluster.operator import end_operator, install_role, launch_operator
from kai_sched.localcluster.providers import registry

ROOT = Path(__file__).parents[2]
SETTLE_SECONDS = 60.0
QUIET_SECONDS = 2.5
NAME = "demo"
NAMESPACE = "demo"


def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave the cluster and the operator running.")] = False,
    fleet: Annotated[Path, typer.Option(help="Fleet file.")] = ROOT / "examples/fleets/demo.yaml",
    workloads: Annotated[Path, typer.Option(help="Folder with queues.yaml and workloads.yaml.")] = ROOT
    / "examples/demo",
) -> None:
    """Start a local control plane with a fake fleet, run the operator, submit work and show what became of it.

    Example: kai-sched demo --keep
    """
    out = console()
    began = time.monotonic()
    arrivals = _documents(workloads / "workloads.yaml")
    queues = _documents(workloads / "queues.yaml")
    nodes = fleet_objects(read_fleet(fleet))
    out.print("[bold]kai_sched demo[/bold]: a real kube-apiserver and etcd, fake nodes, our scheduler\n")
    cluster = LocalCluster(
        name=NAME,
        folder=registry.new_folder(NAME),
        crds=ROOT / "crds",
        on_progress=lambda text: out.print(f"  {text}", style="dim"),
    )
    with cluster:
        publish(cluster.api, nodes)
        install_role(cluster, ROOT / "manifests")
        cluster.new_namespace(NAMESPACE)
        report.print_fleet(cluster.api, out)
        for document in queues:
            cluster.api.apply(document)
        report.print_arrivals(queues, arrivals, out)
        log = launch_operator(cluster, "--metrics-port", "0")
        with ConformanceWatcher(cluster) as watcher:
            submitted = time.monotonic()
            _submit(cluster, arrivals)
            _wait_until_settled(cluster, arrivals, log)
            out.print(f"\nsettled {time.monotonic() - submitted:.1f} s after the work was submitted\n")
            _wait_until_told(cluster)
            report.print_decisions(cluster.api, arrivals, log, out)
            report.print_landing(cluster.api, cluster.kubeconfig, out)
            _print_kubectl(cluster, out)
            watcher.assert_clean()
            out.print(
                f"conformance watcher: {watcher.binds_seen} binds and {watcher.allocations_seen} allocations "
                "seen, no violation"
            )
        out.print(f"done in {time.monotonic() - began:.0f} s")
        if keep:
            record = registry.keep(cluster, NAME)
            out.print(
                f"\nleft running; `kai-sched dev down --name {NAME}` ends it\n\n"
                f"  export KUBECONFIG={record.kubeconfig}",
                soft_wrap=True,
            )
        else:
            end_operator(cluster)


def _documents(path: Path) -> list[dict[str, Any]]:
    try:
        return [document for document in yaml.safe_load_all(read_file(path)) if document]
    except yaml.YAMLError as error:
        raise InvalidInput(" ".join(str(error).split()), source=str(path)) from error


def _submit(cluster: LocalCluster, arrivals: list[dict[str, Any]]) -> None:
    for document in arrivals:
        document["metadata"]["namespace"] = NAMESPACE
        cluster.api.create(document)


def _wait_until_settled(cluster: LocalCluster, arrivals: list[dict[str, Any]], log: Path) -> None:
    """Until every pod has a node or a reason for waiting."""
    expected = sum(report.pods_of(document) for document in arrivals)
    deadline = time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < deadline:
        pods = cluster.api.list("Pod", NAMESPACE)
        if len(pods) >= expected and all(report.has_answer(pod) for pod in pods):
            return
        time.sleep(0.2)
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-5:])
    raise ControlPlaneError(
        f"the demo did not settle within {SETTLE_SECONDS:.0f} s; the operator's last words:\n{tail}"
    )


def _wait_until_told(cluster: LocalCluster) -> None:
    """Until queues and pod groups say what became of the pods: their status follows the binds."""
    deadline = time.monotonic() + QUIET_SECONDS * 5
    quiet_since, seen = time.monotonic(), set[tuple[str, str]]()
    while time.monotonic() < min(deadline, quiet_since + QUIET_SECONDS):
        objects = [*cluster.api.list("Queue"), *cluster.api.list("PodGroup", NAMESPACE)]
        now = {(entry["metadata"]["uid"], entry["metadata"]["resourceVersion"]) for entry in objects}
        if now != seen:
            quiet_since, seen = time.monotonic(), now
        time.sleep(0.2)


def _print_kubectl(cluster: LocalCluster, out: Console) -> None:
    for arguments in (("get", "queues"), ("get", "podgroups.scheduling.run.ai", "-n", NAMESPACE)):
        out.print(f"\n[bold]$ kubectl {' '.join(arguments)}[/bold]")
        out.print(cluster.kubectl(*arguments).rstrip(), markup=False, soft_wrap=True)
    out.print()
