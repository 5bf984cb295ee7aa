"""Worlds that users met and that went wrong once, each a snapshot file as the commands take it, and what is right."""

from __future__ import annotations

from pathlib import Path

import pytest

from kai_sched.cli.worlds import WorldOptions, load_world
from kai_sched.model.plan import Verdict
from kai_sched.planning.checks.plan_checker import PlanChecker
from kai_sched.planning.cycle import plan_cycle

FOLDER = Path(__file__).parent / "reported"

REPORTED = {
    "claim-labelled-for-no-queue": (
        "Unplaced QueueLimit",
        "poor quota has reached the allowable limit of GPUs",
    ),
    "claim-of-a-template-labelled-for-no-queue": ("Unplaced QueueLimit", "workload requested 8 GPUs"),
    "forged-gpu-groups": ("Placed", "1 pod placed"),
    "fraction-in-scientific-notation": ("Placed", "1 pod placed"),
    "member-of-another-scheduler": (
        "NotReady GangNotReady",
        "team/p1 of schedulerName default-scheduler does not count; create team/p1 anew with schedulerName kai-scheduler",
    ),
    "memory-short-beside-free-gpus": (
        "Unplaced Capacity",
        "nodes with free nvidia.com/gpu lack memory, 4Gi on one node each. Held by team/hog",
    ),
    "more-subgroups-wanted-than-there-are": (
        "NotReady GangNotReady",
        "there are 2 (minSubGroup of the PodGroup); lower minSubGroup of the PodGroup to 2, or add subgroups",
    ),
    "part-for-a-container-that-is-not-there": ("Unplaced Invalid", "there is no container 'gone', only main"),
    "part-of-a-partition": (
        "Unplaced NodeConstraints",
        "1 has partitions in place of GPUs (nvidia.com/mig.strategy)",
    ),
    "part-of-a-published-device-by-annotation": ("Unplaced SharingNotEnabled", "install the webhook"),
    "priority-by-label": ("Unplaced Capacity", "others go first: default/honest"),
    "queue-of-another-node-pool": (
        "Unplaced QueueNotFound",
        "queue 'q' is in node pool pool-a, the workload in node pool default; name a queue of node pool default",
    ),
    "running-pod-of-a-lost-group": ("Unplaced QueueLimit", "Limit is 1 GPUs, currently 1 GPUs allocated"),
}
"""File -> verdict and blocker of the only group that waits, if one does, and a part of what it is told."""


def the_verdict(name: str) -> Verdict:
    """What the only group of a file that waits hears, of a plan that the judge passes."""
    world = load_world([FOLDER / f"{name}.yaml"], WorldOptions())
    plan = plan_cycle(world.snapshot, world.policy)
    assert PlanChecker()(world.snapshot, world.policy, plan) == ()
    (verdict,) = [verdict for verdict in plan.verdicts if verdict.outcome != "Placed"] or plan.verdicts
    return verdict


def test_every_file_is_told_of() -> None:
    assert {path.stem for path in FOLDER.glob("*.yaml")} == set(REPORTED)


@pytest.mark.parametrize("name", REPORTED)
def test_what_went_wrong_once_is_right(name: str) -> None:
    outcome, told = REPORTED[name]

    verdict = the_verdict(name)

    assert f"{verdict.outcome} {verdict.blocker or ''}".strip() == outcome
    assert told in f"{verdict.message}; {verdict.next_step}"
