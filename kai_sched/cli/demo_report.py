"""What the demo prints: the fleet, what arrives, what was decided and why, and where it landed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.text import Text

from kai_sched.cli.output import print_hanging, table
from kai_sched.cli.plan_tables import PROSPECTS, quality_text
from kai_sched.cli.topology import live_world, view_of
from kai_sched.cli.topology_views import print_picture
from kai_sched.cli.worlds import WorldOptions
from kai_sched.localcluster.admin import AdminApi
from kai_sched.model.policy import Policy
from kai_sched.model.words import counted

Document = Mapping[str, Any]
GPU, CLIQUE = Policy().gpu_resources[0], Policy().clique_label
"""The demo decides by the defaults."""
RACK_LABELS = ("kai-sched.dev/rack", CLIQUE)
_LONGEST_NAME = 12


def pods_of(document: Document) -> int:
    """How many pods a workload of the demo makes."""
    spec = document.get("spec", {})
    match document["kind"]:
        case "Job":
            return int(spec.get("parallelism", 1))
        case "ReplicaSet":
            return int(spec.get("replicas", 1))
        case "Pod":
            return 1
        case _:
            return 0


def has_answer(pod: Document) -> bool:
    """Whether a pod has a node, or the scheduler's word why it has none."""
    if pod["spec"].get("nodeName"):
        return True
    conditions = pod.get("status", {}).get("conditions", ())
    return any(entry["type"] == "PodScheduled" and entry.get("message") for entry in conditions)


def print_fleet(api: AdminApi, out: Console) -> None:
    """One line a rack: nodes, and how their GPUs are offered."""
    racks: dict[str, list[Document]] = {}
    for node in api.list("Node"):
        racks.setdefault(_rack_of(node), []).append(node)
    devices = Counter(_pool_node(entry) for entry in api.list("ResourceSlice") for _ in _gpus_of(entry))
    rows = [
        (rack, len(nodes), _offers(nodes, devices), _cliques(nodes)) for rack, nodes in sorted(racks.items())
    ]
    out.print(table("Fleet", ("RACK", "NODES", "GPUS OF A NODE", "NVLINK DOMAIN"), rows))


def print_arrivals(queues: Sequence[Document], arrivals: Sequence[Document], out: Console) -> None:
    """Queues by parent, then every workload with what it asks for."""
    rows: list[tuple[object, ...]] = [
        (
            queue["metadata"]["name"],
            queue["spec"].get("parentQueue", "-"),
            queue["spec"]["resources"]["gpu"]["quota"],
            _limit_of(queue),
        )
        for queue in queues
    ]
    out.print()
    out.print(table("Queues", ("QUEUE", "PARENT", "GPU QUOTA", "GPU LIMIT"), rows))
    out.print()
    work: dict[str, list[Document]] = {}
    for document in arrivals:
        if pods_of(document):
            work.setdefault(_name_of(document), []).append(document)
    rows = [
        (
            name,
            _queue_of(same[0]),
            sum(map(pods_of, same)),
            ", ".join(dict.fromkeys(map(_asks, same))),
            _wants(same[0], arrivals),
        )
        for name, same in work.items()
    ]
    out.print(table("Arriving", ("WORKLOAD", "QUEUE", "PODS", "EACH", "WANTS"), rows))


def print_decisions(api: AdminApi, arrivals: Sequence[Document], log: Path, out: Console) -> None:
    """What became of every workload and why, then how good the plan that placed most is known to be."""
    out.print(
        Text("Decided", style="bold") + Text("  (as the status of each pod group says it)", style="dim")
    )
    told: set[str] = set()
    for group in api.list("PodGroup"):
        verdict = group.get("status", {}).get("kaiSched", {})
        outcome = verdict.get("verdict") or "unknown"
        told.add(_workload_of(group))
        line = Text(f"{_workload_of(group)}: ")
        line.append(outcome, style="green" if outcome == "Placed" else "yellow")
        if verdict.get("blocker"):
            line.append(f" {verdict['blocker']}", style="bold")
            line.append(PROSPECTS.get(verdict.get("prospect") or "", ""))
            line.append(" (proven)" if verdict.get("isProof") else "", style="dim")
        out.print(line)
        if verdict.get("message"):
            print_hanging(out, Text(f"  {verdict['message']}"))
        if verdict.get("nextStep"):
            print_hanging(out, Text(f"  next: {verdict['nextStep']}", style="dim"))
    _print_singles(api, arrivals, told, out)
    for cycle in _solved_cycles(log):
        solved = quality_text(
            cycle.get("solver", "GREEDY"), cycle.get("objective") or {}, cycle.get("bound") or {}
        )
        print_hanging(out, Text(solved))
    out.print()


def _print_singles(api: AdminApi, arrivals: Sequence[Document], told: set[str], out: Console) -> None:
    """Workloads whose pods need no pod group: each is a group of its own."""
    pods = api.list("Pod", "demo")
    for name in dict.fromkeys(_name_of(one) for one in arrivals if pods_of(one)):
        own = [pod for pod in pods if _owner_of(pod) == name]
        if name not in told and own:
            placed = sum(bool(pod["spec"].get("nodeName")) for pod in own)
            out.print(f"{name}: {placed} of {counted(len(own), 'single pod')} placed")


def _workload_of(group: Document) -> str:
    """What people call it: the owner for which it was made, else its own name."""
    return _owner_of(group) or str(group["metadata"]["name"])


def _owner_of(document: Document) -> str:
    owners = document["metadata"].get("ownerReferences") or ()
    return str(owners[0]["name"]) if owners else ""


def _limit_of(queue: Document) -> str:
    limit = queue["spec"]["resources"]["gpu"]["limit"]
    return "none" if limit == -1 else str(limit)


def print_landing(api: AdminApi, kubeconfig: Path, out: Console) -> None:
    """A picture of the fleet with who holds what, and how many counted GPUs came from claims."""
    out.print(
        Text("Landed", style="bold")
        + Text("  (a cell is a node, a letter a GPU that is held, + by several, . free)", style="dim")
    )
    print_picture(view_of(live_world(kubeconfig, None, WorldOptions())).root, out)
    asking = [
        pod for pod in api.list("Pod", "demo") if pod["spec"].get("nodeName") and _plugin_gpus(pod["spec"])
    ]
    claimed = sum("extendedResourceClaimStatus" in pod["status"] for pod in asking)
    total = counted(len(asking), "pod")
    said = f"  {total} asked for a count of {GPU}; for {claimed} of them, on DRA nodes, a claim was made"
    print_hanging(out, Text(said))


def _rack_of(node: Document) -> str:
    """A name that fits the picture: of a clique, whose name begins with a UUID, the end."""
    labels = node["metadata"].get("labels", {})
    name = next((str(labels[key]) for key in RACK_LABELS if key in labels), "-")
    return name if len(name) <= _LONGEST_NAME else f"...{name[-_LONGEST_NAME + 3 :]}"


def _pool_node(entry: Document) -> str:
    return str(entry["spec"].get("nodeName", ""))


def _gpus_of(entry: Document) -> Iterable[Document]:
    for device in entry["spec"].get("devices", ()):
        if device.get("attributes", {}).get("type", {}).get("string") == "gpu":
            yield device


def _offers(nodes: Sequence[Document], devices: Counter[str]) -> str:
    claimed = {devices[node["metadata"]["name"]] for node in nodes} - {0}
    plugin = {int(node["status"]["allocatable"].get(GPU, 0)) for node in nodes} - {0}
    parts = [f"{count} by DRA" for count in sorted(claimed)] + [
        f"{count} by device plugin" for count in sorted(plugin)
    ]
    return ", ".join(parts)


def _cliques(nodes: Sequence[Document]) -> str:
    cliques = {node["metadata"]["labels"].get(CLIQUE) for node in nodes} - {None}
    return (
        f"{'one' if len(cliques) == 1 else len(cliques)} for {counted(len(nodes), 'node')}"
        if cliques
        else "none"
    )


def _template(document: Document) -> Document:
    template: Document = document["spec"].get("template", document)
    return template


def _queue_of(document: Document) -> str:
    for metadata in (document["metadata"], _template(document).get("metadata", {})):
        queue = metadata.get("labels", {}).get("kai.scheduler/queue")
        if queue:
            return str(queue)
    return "-"


def _asks(document: Document) -> str:
    spec = _template(document)["spec"]
    plugin = _plugin_gpus(spec)
    claims = [
        claim.get("resourceClaimTemplateName") or claim.get("resourceClaimName")
        for claim in spec.get("resourceClaims", ())
    ]
    return ", ".join((*([counted(plugin, "GPU")] if plugin else []), *(f"claim {name}" for name in claims)))


def _plugin_gpus(spec: Document) -> int:
    return sum(
        int(container.get("resources", {}).get("limits", {}).get(GPU, 0)) for container in spec["containers"]
    )


def _wants(document: Document, arrivals: Sequence[Document]) -> str:
    annotations = document["metadata"].get("annotations", {})
    required = annotations.get("kai.scheduler/topology-required-placement")
    preferred = annotations.get("kai.scheduler/topology-preferred-placement")
    minimum = annotations.get("kai.scheduler/batch-min-member", "")
    for group in arrivals:
        if group["kind"] == "PodGroup" and group["metadata"]["name"] == _name_of(document):
            constraint = group["spec"].get("topologyConstraint", {})
            required = constraint.get("requiredTopologyLevel")
            preferred = constraint.get("preferredTopologyLevel")
            minimum = str(group["spec"].get("minMember", ""))
    parts = [f"gang of {minimum}" if minimum else "one by one"]
    parts += [f"one {required}"] if required else []
    parts += [f"rather one {preferred}"] if preferred else []
    return ", ".join(parts)


def _name_of(document: Document) -> str:
    """What people call a workload: the group that bare pods name, else its own name."""
    metadata = document["metadata"]
    named = metadata.get("annotations", {}).get("pod-group-name")
    return str(named if named and document["kind"] == "Pod" else metadata["name"])


def _solved_cycles(log: Path) -> list[Document]:
    """The cycle of the operator's log that placed most, if one placed anything."""
    found: list[Document] = []
    for line in log.read_bytes().splitlines():
        try:
            entry = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue
        if isinstance(entry, dict) and entry.get("event") == "cycle" and entry.get("binds"):
            found.append(entry)
    return sorted(found, key=lambda entry: -entry["binds"])[:1]
