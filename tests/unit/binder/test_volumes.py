"""The next call for a claim that waits for its first consumer."""

from __future__ import annotations

from typing import Any

import pytest

from kai_sched.binder.gang import GangRun
from kai_sched.binder.outcomes import Result, Setback
from kai_sched.binder.volumes import Ask, NotYet, next_volume_step
from kai_sched.binder.wait import DeviceWait
from kai_sched.binder.writes import FencedCalls
from kai_sched.model.commands import BindGang
from kai_sched.model.ids import NodeName, PodGroupKey, PodKey, Uid
from kai_sched.model.plan import Placement, VolumePlacement
from tests.shelf import NothingKnown, OpenFence, Shelf

NODE = NodeName("n1")
SELECTED = "volume.kubernetes.io/selected-node"
DONE = {"pv.kubernetes.io/bind-completed": "yes"}
TO_MAKE = VolumePlacement(claim="team/data", uid=Uid("u"))
TO_GIVE = VolumePlacement(claim="team/data", uid=Uid("u"), volume="pv")
CLAIM_PATH = "/api/v1/namespaces/team/persistentvolumeclaims/data"


def a_claim(annotations: dict[str, str] | None = None, uid: str = "u", **spec: Any) -> dict[str, Any]:
    metadata = {"name": "data", "namespace": "team", "uid": uid, "resourceVersion": "5"}
    return {"metadata": {**metadata, "annotations": annotations or {}}, "spec": spec}


def a_volume(holder: dict[str, str] | None = None) -> dict[str, Any]:
    spec = {"claimRef": {"namespace": "team", "name": "data", **holder}} if holder is not None else {}
    return {"metadata": {"name": "pv", "resourceVersion": "7"}, "spec": spec}


def step(wanted, claim, volume=None, *, was_asked=False):
    return next_volume_step(wanted, NODE, claim, volume, was_asked=was_asked)


def test_a_volume_that_is_to_be_made_is_asked_for_on_the_node():
    asked = step(TO_MAKE, a_claim())

    assert asked == Ask(CLAIM_PATH, {"metadata": {"uid": "u", "annotations": {SELECTED: "n1"}}})


def test_a_free_volume_is_given_to_the_claim_unless_it_changes_meanwhile():
    asked = step(TO_GIVE, a_claim(), a_volume())

    assert isinstance(asked, Ask)
    assert asked.path == "/api/v1/persistentvolumes/pv"
    assert asked.patch["metadata"] == {
        "resourceVersion": "7",
        "annotations": {"pv.kubernetes.io/bound-by-controller": "yes"},
    }
    assert asked.patch["spec"]["claimRef"] == {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "namespace": "team",
        "name": "data",
        "uid": "u",
        "resourceVersion": "5",
    }


def test_a_volume_that_its_owner_reserved_stays_reserved_by_its_owner():
    asked = step(TO_GIVE, a_claim(), a_volume({}))

    assert isinstance(asked, Ask)
    assert asked.patch["metadata"] == {"resourceVersion": "7"}


@pytest.mark.parametrize(
    ("wanted", "claim", "volume"),
    [
        (TO_MAKE, a_claim({SELECTED: "n1"}), None),
        (TO_MAKE, a_claim({SELECTED: "n1"}, volumeName="made"), None),
        (TO_GIVE, a_claim(), a_volume({"uid": "u"})),
        (TO_GIVE, a_claim(volumeName="pv"), a_volume({"uid": "u"})),
    ],
)
def test_what_the_volume_controller_has_not_done_yet_is_waited_for(wanted, claim, volume):
    assert step(wanted, claim, volume) == NotYet()


@pytest.mark.parametrize(("wanted", "volume"), [(TO_MAKE, "made"), (TO_GIVE, "pv")])
def test_a_claim_with_its_volume_is_done(wanted, volume):
    assert step(wanted, a_claim(DONE, volumeName=volume), a_volume()) is None


@pytest.mark.parametrize(
    ("wanted", "claim", "volume", "result", "reason"),
    [
        (TO_MAKE, a_claim(uid="new"), None, Result.STALE, "was replaced"),
        (TO_MAKE, a_claim({SELECTED: "n2"}), None, Result.RETRY, "is to be made on n2"),
        (TO_GIVE, a_claim(DONE, volumeName="other"), a_volume(), Result.STALE, "was bound to other"),
        (TO_GIVE, a_claim(), a_volume({"uid": "x"}), Result.STALE, "was given to another claim"),
        (TO_GIVE, a_claim(), a_volume({"name": "more"}), Result.STALE, "was given to another claim"),
        (TO_GIVE, a_claim(), None, Result.STALE, "PersistentVolume pv is gone"),
    ],
)
def test_a_claim_that_cannot_be_had_so_is_decided_anew(wanted, claim, volume, result, reason):
    refusal = step(wanted, claim, volume)

    assert isinstance(refusal, Setback)
    assert refusal.result is result
    assert reason in refusal.reason


def test_a_provisioner_that_gives_up_takes_the_node_away_again():
    refusal = step(TO_MAKE, a_claim(), was_asked=True)

    assert isinstance(refusal, Setback)
    assert (refusal.result, "could not be made on n1" in refusal.reason) == (Result.RETRY, True)


async def test_a_volume_that_does_not_come_in_time_takes_the_gang_back():
    shelf = Shelf()
    shelf.objects[CLAIM_PATH] = a_claim()
    now = [0.0]

    async def pause(seconds: float) -> None:
        now[0] += seconds

    placement = Placement(
        pod=PodKey("team/p"),
        uid=Uid("uid-p"),
        pod_group=PodGroupKey("team/p"),
        node=NODE,
        volumes=(TO_MAKE,),
    )
    command = BindGang(pod_group=PodGroupKey("team/p"), placements=(placement,), already_bound=0)
    wait = DeviceWait(timeout_seconds=60.0, clock=lambda: now[0], pause=pause)

    outcome = await GangRun(command, FencedCalls(shelf, OpenFence()), NothingKnown(), wait).run()

    assert (outcome.result, outcome.bound) == (Result.RETRY, ())
    assert outcome.reason == "PersistentVolumeClaim team/data not bound after 60 s"
    assert now[0] == 60.0
    assert shelf.writes == [f"PATCH {CLAIM_PATH}"]
