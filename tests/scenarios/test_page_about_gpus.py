"""Every example of docs/asking-for-gpus.md is placed on the fleet that the page names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from kai_sched.api.objects import ObjectSet
from kai_sched.api.snapshot import snapshot_of
from kai_sched.localcluster.fleet import fleet_objects, read_fleet
from kai_sched.model.plan import Outcome
from kai_sched.model.policy import Policy
from kai_sched.planning.checks.plan_checker import PlanChecker
from kai_sched.planning.cycle import plan_cycle

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/asking-for-gpus.md").read_text()
Document = dict[str, Any]
NOW = 1_800_000_000.0


@dataclass(frozen=True)
class Example:
    fleet: str
    objects: tuple[Document, ...]

    @property
    def pods(self) -> set[str]:
        return {one["metadata"]["name"] for one in self.objects if one["kind"] == "Pod"}


def documents(text: str) -> tuple[Document, ...]:
    return tuple(yaml.safe_load_all(text))


(QUEUE,) = re.findall(r"```yaml\n(apiVersion: scheduling.run.ai/v2\n.*?)```", PAGE, re.DOTALL)
ON_FLEET = r"^On `examples/fleets/([\w-]+)\.yaml`[^\n]*:\n\n```yaml\n(.*?)```"
EXAMPLES = [
    Example(fleet, documents(text)) for fleet, text in re.findall(ON_FLEET, PAGE, re.DOTALL | re.MULTILINE)
]


def as_on_a_cluster(example: Example) -> list[Document]:
    """The objects with what the API server and its controllers add: names of namespaces, uids, claims of templates."""
    made: list[Document] = []
    templates = {
        one["metadata"]["name"]: one for one in example.objects if one["kind"] == "ResourceClaimTemplate"
    }
    for one in example.objects:
        name = one["metadata"]["name"]
        meta = {"namespace": "team", "uid": f"uid-{one['kind']}-{name}", **one["metadata"]}
        made.append({**one, "metadata": meta})
        for ref in one["spec"].get("resourceClaims", []) if one["kind"] == "Pod" else []:
            template = ref.get("resourceClaimTemplateName")
            if template is not None:
                claim = f"{name}-{ref['name']}"
                owner = {
                    "apiVersion": "v1",
                    "kind": "Pod",
                    "name": name,
                    "uid": meta["uid"],
                    "controller": True,
                }
                made.append(
                    {
                        "apiVersion": "resource.k8s.io/v1",
                        "kind": "ResourceClaim",
                        "metadata": {
                            "name": claim,
                            "namespace": "team",
                            "uid": f"uid-{claim}",
                            "ownerReferences": [owner],
                        },
                        "spec": templates[template]["spec"]["spec"],
                    }
                )
                statuses = made[-2].setdefault("status", {}).setdefault("resourceClaimStatuses", [])
                statuses.append({"name": ref["name"], "resourceClaimName": claim})
    return made


def test_the_page_has_an_example_for_each_way() -> None:
    assert len(EXAMPLES) == PAGE.count("```yaml") - 1
    assert len({example.fleet for example in EXAMPLES}) > 5


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: "+".join(sorted(example.pods)))
def test_an_example_is_placed(example: Example) -> None:
    fleet = fleet_objects(read_fleet(ROOT / f"examples/fleets/{example.fleet}.yaml"))
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}}
    objects = ObjectSet([namespace, *documents(QUEUE), *fleet, *as_on_a_cluster(example)])
    snapshot = snapshot_of(objects, now=NOW, policy=Policy())
    assert snapshot.unreadable == ()

    plan = plan_cycle(snapshot, Policy())

    assert {verdict.message for verdict in plan.verdicts if verdict.outcome is not Outcome.PLACED} == set()
    assert {placement.pod.rpartition("/")[2] for placement in plan.binds} == example.pods
    assert PlanChecker()(snapshot, Policy(), plan) == ()
    # Whoever asks by a claim is given devices, and only they.
    by_claim = {one["metadata"]["name"] for one in example.objects if "resourceClaims" in one["spec"]}
    with_devices = {placement.pod.rpartition("/")[2] for placement in plan.binds if placement.claims}
    assert with_devices == by_claim & example.pods
