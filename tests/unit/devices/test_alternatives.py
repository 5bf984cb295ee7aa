"""Alternatives of a request across nodes: a node that gives what is wanted first is better than one that does not."""

from __future__ import annotations

import pytest

from kai_sched.model.policy import DeviceChoice, Policy
from tests.documents import a_pod_document
from tests.unit.devices.dra import (
    DRIVER,
    a_claim_document,
    a_device,
    a_listed_request,
    a_request,
    a_slice,
    a_user,
    decide,
)

KINDS = ("big", "middle", "small")


def a_pool(node: str, *kinds: str):
    """A node's devices, named after their kind."""
    devices = [a_device(f"{kind}-{number}", attributes={"type": kind}) for number, kind in enumerate(kinds)]
    published = a_slice(*devices, pool=node, name=node)
    published["spec"]["nodeName"] = node
    return published


def wanting(*kinds: str, name: str = "r", count: int = 1):
    """A request for the first of these kinds that is there."""
    return a_listed_request(
        name,
        *(a_request(kind, f'device.attributes["{DRIVER}"].type == "{kind}"', count=count) for kind in kinds),
    )


def kinds_of(decided, pod: str) -> list[str]:
    return [device.partition("-")[0] for device in decided.devices_of(pod)]


@pytest.mark.parametrize(
    "policy", [Policy(), Policy(use_solver=False), Policy(device_choice=DeviceChoice.REFERENCE)]
)
def test_the_node_that_gives_the_first_alternative_is_taken_before_a_fuller_one(policy):
    packed = a_pod_document("packed", spec={"nodeName": "n1"}, labels={"kai.scheduler/queue": "team-a"})
    fleet = [a_pool("n1", "small"), a_pool("n2", "middle"), a_pool("n3", "big")]

    decided = decide(
        *fleet, packed, a_claim_document(wanting(*KINDS)), a_user("p", "claim"), nodes=3, policy=policy
    )

    assert (decided.node_of("p"), kinds_of(decided, "p")) == ("n3", ["big"])


def test_where_nothing_gives_the_first_the_next_is_taken():
    fleet = [a_pool("n1", "small"), a_pool("n2", "middle")]

    decided = decide(*fleet, a_claim_document(wanting(*KINDS)), a_user("p", "claim"), nodes=2)

    assert kinds_of(decided, "p") == ["middle"]


def test_concessions_of_all_requests_and_claims_add_up():
    """n1 concedes two in one request; n2 one in each of two; n3 one in all."""
    fleet = [a_pool("n1", "big", "small"), a_pool("n2", "middle", "middle"), a_pool("n3", "big", "middle")]
    claims = [a_claim_document(wanting(*KINDS), name=name) for name in ("c0", "c1")]

    decided = decide(*fleet, *claims, a_user("p", "c0", "c1"), nodes=3)

    assert decided.node_of("p") == "n3"


def test_pods_that_are_alike_get_the_first_alternative_as_long_as_there_is_one():
    fleet = [a_pool("n1", "small", "small", "small", "small"), a_pool("n2", "big"), a_pool("n3", "big")]
    claims = [a_claim_document(wanting("big", "small"), name=f"c{number}") for number in range(4)]
    users = [a_user(f"p{number}", f"c{number}") for number in range(4)]

    decided = decide(*fleet, *claims, *users, nodes=3)

    assert sorted(kinds_of(decided, f"p{number}")[0] for number in range(4)) == [
        "big",
        "big",
        "small",
        "small",
    ]


def test_pods_that_share_a_claim_go_where_it_gets_the_first_alternative():
    fleet = [a_pool("n1", "small"), a_pool("n2", "big")]
    gang = {
        "apiVersion": "scheduling.run.ai/v2alpha2",
        "kind": "PodGroup",
        "metadata": {"name": "gang", "namespace": "team"},
        "spec": {"queue": "team-a", "minMember": 2},
    }
    users = [a_user(f"p{number}", "claim", group="gang") for number in range(2)]

    decided = decide(*fleet, gang, a_claim_document(wanting("big", "small")), *users, nodes=2)

    assert {decided.node_of("p0"), decided.node_of("p1")} == {"n2"}


def test_a_pod_is_seated_also_where_the_first_alternative_lies_beyond_the_nodes_that_are_asked():
    fleet = [a_pool(f"n{number + 1}", "small") for number in range(70)]

    decided = decide(*fleet, a_claim_document(wanting("big", "small")), a_user("p", "claim"), nodes=70)

    assert kinds_of(decided, "p") == ["small"]
