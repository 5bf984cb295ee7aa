"""Domains for a gang: those that can hold it by counting, the tightest first."""

from __future__ import annotations

from kai_sched.model.workloads import TopologyConstraint
from kai_sched.placement.world.spans import domain_choices, outward_levels
from tests.builders import a_group, a_node, a_pod, a_snapshot, a_spec
from tests.unit.placement.stage import Stage


def rack(name: str, *gpus: int):
    return [
        a_node(f"{name}-{number}", gpus=count, labels={"rack": name}) for number, count in enumerate(gpus)
    ]


def a_stage(*racks, count: int = 2, gpus: int = 4) -> Stage:
    pods = [a_pod(f"g-{number}", a_spec(gpus=gpus), group="g") for number in range(count)]
    nodes = [node for one in racks for node in one]
    return Stage(a_snapshot(nodes=nodes, pods=pods, groups=[a_group("g", min_member=count, required="rack")]))


def choices(stage: Stage, active_on=(), **ground) -> list[str]:
    """The racks in the order in which they would be tried."""
    pods = [at for at, pod in enumerate(stage.snapshot.pods) if pod.node is None]
    found = domain_choices(stage.ground.within(ground.get("allowed")), "racks", "rack", pods, active_on)
    names = stage.world.base.table.nodes
    return [names[int(choice.mask.argmax())].name[0] for choice in found]


def test_domains_that_hold_the_gang_come_tightest_first():
    stage = a_stage(rack("a", 8, 8), rack("b", 4, 4), rack("c", 4))

    assert choices(stage) == ["b", "a"]


def test_pods_that_run_leave_one_choice_or_none():
    stage = a_stage(rack("a", 8), rack("b", 8))

    assert choices(stage, active_on=["b-0"]) == ["b"]
    assert choices(stage, active_on=["a-0", "b-0"]) == []


def test_only_allowed_nodes_count():
    stage = a_stage(rack("a", 4, 4), rack("b", 8))

    assert choices(stage, allowed=stage.nodes("a-0", "b-0")) == ["b"]


def test_nodes_without_the_label_are_in_no_domain():
    stage = a_stage(rack("a", 4), [a_node("x-0", gpus=8)])

    assert choices(stage) == []


def test_preferred_levels_are_tried_from_the_finest_outwards_short_of_the_required_one():
    domains = a_stage(rack("a", 8)).world.base.domains

    finest = "kubernetes.io/hostname"
    assert outward_levels(domains, TopologyConstraint("racks", "", finest)) == (finest, "rack")  # type: ignore[arg-type]
    assert outward_levels(domains, TopologyConstraint("racks", "rack", finest)) == (finest,)  # type: ignore[arg-type]
