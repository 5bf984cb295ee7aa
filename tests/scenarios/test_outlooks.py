"""Never, not now, or not its turn: told apart in a catalogue of worlds, and every advice taken and planned again."""

from __future__ import annotations

import pytest

from kai_sched.model.outlook import Outlook, Prospect
from kai_sched.model.plan import Outcome, Verdict
from kai_sched.model.policy import Policy
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.planning.cycle import plan_cycle
from kai_sched.planning.outlook.counterfactual import alone, applied
from tests.builders import a_group, a_node, a_pod, a_queue, a_snapshot, a_spec
from tests.scenarios.outlook_worlds import WORLDS

IT = "team/it"
LONGEST_MESSAGE = 1000


def verdict_in(snapshot: ClusterSnapshot) -> Verdict:
    plan = plan_cycle(snapshot, Policy())
    return next(verdict for verdict in plan.verdicts if verdict.pod_group == IT)


def outlook_in(snapshot: ClusterSnapshot) -> Outlook:
    outlook = verdict_in(snapshot).outlook
    assert outlook is not None
    return outlook


@pytest.mark.parametrize("name", WORLDS)
def test_every_advice_that_is_taken_gets_the_gang_its_place(name: str):
    world = WORLDS[name]()
    verdict = verdict_in(world.snapshot)
    outlook = outlook_in(world.snapshot)

    assert outlook.prospect is world.prospect
    assert world.fact is None or (outlook.bound is not None and outlook.bound.fact is world.fact)
    assert [one.group.removeprefix("team/") for one in outlook.held_by] == list(world.held_by)
    assert [key.removeprefix("team/") for key in outlook.goes_first] == list(world.first)
    assert [[action.kind for action in advice.actions] for advice in outlook.advice] == [
        list(kinds) for kinds in world.helps
    ]
    assert max(len(verdict.message), len(verdict.next_step)) <= LONGEST_MESSAGE
    for advice in outlook.advice:
        changed = applied(world.snapshot, verdict.pod_group, advice)
        assert changed is not None
        assert verdict_in(changed).outcome is Outcome.PLACED, advice


@pytest.mark.parametrize("name", WORLDS)
def test_never_means_not_even_alone_and_everything_else_fits_then(name: str):
    world = WORLDS[name]()
    if world.prospect is None:
        return  # Not complete, wherever it is.

    there = verdict_in(alone(world.snapshot, verdict_in(world.snapshot).pod_group))

    assert (there.outcome is not Outcome.PLACED) == (world.prospect is Prospect.NEVER)


def test_pods_above_a_minimum_that_runs_are_not_told_that_they_never_can():
    running = a_pod("it-0", a_spec(gpus=8), group="it", node="n0")
    snapshot = a_snapshot(
        nodes=[a_node("n0")],
        pods=[running, a_pod("it-1", a_spec(gpus=8), group="it")],
        groups=[a_group("it", min_member=1)],
        queues=[a_queue("dept", parent=None), a_queue("team-a", limit=8)],
    )

    verdict = verdict_in(snapshot)

    assert verdict.outlook is None
    assert verdict.message.startswith("1 pod of it runs, 1 pod above the minimum waits: ")
    assert "16 GPUs" in verdict.next_step


def test_sentences_stay_short_however_long_names_are():
    names = [f"{letter * 240}" for letter in "abcdef"]
    nodes = [a_node(f"n{number}") for number in range(len(names))]
    gang = [a_pod(f"it-{number}", a_spec(gpus=8), group="it") for number in range(len(names))]
    running = [a_pod(name, a_spec(gpus=8), node=node.name) for name, node in zip(names, nodes, strict=True)]
    groups = [a_group("it", min_member=len(names)), *(a_group(name) for name in names)]

    verdict = verdict_in(a_snapshot(nodes=nodes, pods=[*gang, *running], groups=groups))

    assert verdict.outlook is not None
    assert len(verdict.outlook.held_by) == len(names)
    assert max(len(verdict.message), len(verdict.next_step)) <= LONGEST_MESSAGE
    assert "and 2 more" in verdict.message


def test_the_catalogue_has_forty_worlds():
    assert len(WORLDS) >= 40
