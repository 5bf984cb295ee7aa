"""Claims that are allocated and used by nobody: they keep no pod off the nodes where it fits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kai_sched.api.plan_document import plan_document
from kai_sched.model.ids import ClaimKey
from kai_sched.model.plan import Blocker, Outcome
from kai_sched.model.policy import Policy
from kai_sched.placement.checker import ViolationKind, check_plan
from kai_sched.planning.checks.salvage import salvage
from kai_sched.planning.commands import commands_for
from kai_sched.planning.cycle import plan_cycle
from kai_sched.sim.engine import Simulation, apply_plan, simulate
from tests.documents import a_queue_document
from tests.unit.devices.dra import (
    DRIVER,
    Decided,
    a_claim_document,
    a_device,
    a_slice,
    a_user,
    decide,
    held_by_another,
)

SICK = {"key": "sick", "effect": "NoExecute"}


def on_both(**fields: Any):
    return (
        a_slice(a_device("gpu-0", **fields), pool="n1", name="s1"),
        a_slice(a_device("gpu-0"), pool="n2", name="s2", nodeName="n2"),
    )


def idle(device: str = "gpu-0", node: str = "n1"):
    """Allocated on a node and reserved for nobody."""
    status = held_by_another(device)
    del status["reservedFor"]
    (field,) = status["allocation"]["nodeSelector"]["nodeSelectorTerms"][0]["matchFields"]
    field["values"] = [node]
    return a_claim_document(status=status)


def who_fits_elsewhere(**fields: Any):
    user = a_user("p", "claim")
    user["spec"]["nodeSelector"] = {"kubernetes.io/hostname": "n2"}
    return user | fields


def simulated(decided: Decided) -> Simulation:
    return simulate(decided.snapshot, lambda world: plan_cycle(world, Policy()), cycles=None)


def test_an_idle_claim_is_used_where_it_is_as_long_as_the_pod_fits_there() -> None:
    decided = decide(*on_both(), idle(), a_user("p", "claim"), nodes=2)

    assert decided.node_of("p") == "n1"
    assert decided.plan.deallocations == ()


@pytest.mark.parametrize("node", ["n1", "gone"])
def test_an_idle_claim_on_a_node_that_the_pod_cannot_have_is_given_back_and_allocated_elsewhere(
    node: str,
) -> None:
    decided = decide(*on_both(), idle(node=node), who_fits_elsewhere(), nodes=2)

    verdict = decided.verdict_of("p")
    assert (verdict.outcome, verdict.blocker) == (Outcome.UNPLACED, Blocker.DEVICES)
    assert f"claim team/claim has devices on {node} that nobody uses" in verdict.message
    (given,) = decided.plan.deallocations
    assert (given.claim, given.devices) == ("team/claim", (f"{DRIVER}/n1/gpu-0",))
    assert plan_document(decided.plan)["deallocations"] == [
        {"claim": "team/claim", "devices": [f"{DRIVER}/n1/gpu-0"], "beneficiary": "team/p"}
    ]
    assert [type(command).__name__ for command in commands_for(decided.plan, decided.snapshot)] == [
        "Deallocate"
    ]
    assert [bind.node for plan in simulated(decided).plans for bind in plan.binds] == ["n2"]


def test_what_somebody_uses_is_not_given_back() -> None:
    held = a_claim_document(status=held_by_another("gpu-0"))

    decided = decide(*on_both(), held, who_fits_elsewhere(), nodes=2)

    assert decided.plan.deallocations == ()
    assert "claim team/claim is allocated on n1" in decided.verdict_of("p").message


def test_a_claim_of_a_running_pod_that_is_reserved_for_nobody_is_not_given_back() -> None:
    running = a_user("runs", "claim")
    running["spec"]["nodeName"] = "n1"
    running["status"] = {"phase": "Running"}

    decided = decide(*on_both(), idle(), running, who_fits_elsewhere(), nodes=2)

    assert decided.plan.deallocations == ()


def test_an_idle_claim_with_a_device_that_throws_its_users_off_is_given_back() -> None:
    decided = decide(*on_both(taints=[SICK]), idle(), a_user("p", "claim"), nodes=2)

    assert [given.claim for given in decided.plan.deallocations] == ["team/claim"]
    assert [bind.node for plan in simulated(decided).plans for bind in plan.binds] == ["n2"]


def test_a_pod_whose_queue_is_full_gives_nothing_back() -> None:
    full = a_queue_document(resources={name: {"quota": 0, "limit": 0} for name in ("gpu", "cpu", "memory")})

    decided = decide(*on_both(), idle(), who_fits_elsewhere(), full, nodes=2)

    assert decided.verdict_of("p").blocker is Blocker.QUEUE_LIMIT
    assert decided.plan.deallocations == ()


def test_the_judge_refuses_to_give_back_what_is_used_or_has_changed() -> None:
    decided = decide(*on_both(), idle(), who_fits_elsewhere(), nodes=2)
    (given,) = decided.plan.deallocations

    for wrong in (
        replace(given, claim=ClaimKey("team/none")),
        replace(given, devices=()),
        replace(given, resource_version="other"),
        replace(given, uid="uid-other"),
    ):
        plan = replace(decided.plan, deallocations=(wrong,))
        (found,) = check_plan(decided.snapshot, Policy(), plan)
        assert found.kind is ViolationKind.CLAIM
    used = decide(*on_both(), a_claim_document(status=held_by_another("gpu-0")), nodes=2)
    plan = replace(used.plan, deallocations=(given,))
    assert "is in use" in str(check_plan(used.snapshot, Policy(), plan))


def test_what_is_given_back_survives_the_salvage_of_the_rest() -> None:
    decided = decide(*on_both(), idle(), who_fits_elsewhere(), nodes=2)

    left = salvage(decided.snapshot, Policy(), decided.plan, check_plan)

    assert left is not None
    assert left.deallocations == decided.plan.deallocations
    assert salvage(decided.snapshot, Policy(), decided.plan, check_plan, most_checks=1).deallocations == ()  # type: ignore[union-attr]


def test_one_claim_under_two_names_is_allocated_and_reserved_once() -> None:
    decided = decide(
        a_slice(a_device("gpu-0"), a_device("gpu-1")), a_claim_document(), a_user("p", "claim", "claim")
    )

    (bind,) = decided.plan.binds
    assert [use.claim for use in bind.claims] == ["team/claim"]
    assert decided.devices_of("p") == ["gpu-0"]
    (claim,) = apply_plan(decided.snapshot, decided.plan).claims
    assert len(claim.reserved_for) == 1
