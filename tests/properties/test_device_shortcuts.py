"""Counting instead of searching, and recalling what was found on a node alike: never another answer than the search's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kai_sched.api.dra import translate_claim, translate_class, translate_slice
from kai_sched.devices import allocation
from kai_sched.devices.allocator import DeviceIndex, DeviceRefusal, DeviceState, Options, allocate
from kai_sched.devices.closures import Closure
from kai_sched.devices.counting import matching_free, plain_requirement
from kai_sched.devices.search import Search
from kai_sched.devices.work import OutOfWork
from kai_sched.model.devices import Claim
from kai_sched.model.ids import ClaimKey, NodeName, Uid
from kai_sched.model.nodes import Node
from kai_sched.model.policy import Policy
from kai_sched.placement.site.fleet_index import FleetCache
from kai_sched.planning.cycle import plan_cycle
from kai_sched.topology.devices import DevicePreference
from tests.fuzz.cases import NODE, random_case
from tests.unit.devices.dra import DRIVER, a_claim, a_class, a_device, a_request, a_slice, a_user, decide

Document = dict[str, Any]
SEARCH = Options(uses_shortcuts=False)
TOPOLOGY = DevicePreference(("x.example.com/zone",))
_REACH = ("nodeName", "allNodes", "nodeSelector", "perDeviceNodeSelection")


def nodes(count: int) -> tuple[Node, ...]:
    return tuple(Node(name=NodeName(f"node-{n + 1}")) for n in range(count))


def fleet_of_alike_nodes(case: Document, count: int) -> DeviceIndex:
    """Every slice of a random case, local to each of the nodes."""
    slices = []
    for number in range(count):
        for document in case["resourceSlices"]:
            spec = {key: value for key, value in document["spec"].items() if key not in _REACH}
            spec["nodeName"] = f"node-{number + 1}"
            spec["pool"] = {
                **spec["pool"],
                "name": f"{spec['pool']['name'].replace(NODE, 'own')}-{number + 1}",
            }
            spec["devices"] = [_anywhere(device) for device in spec.get("devices", ())]
            name = f"{document['metadata']['name']}-{number + 1}"
            slices.append(translate_slice({"metadata": {"name": name}, "spec": spec}))
    classes = [translate_class(document) for document in case["deviceClasses"]]
    return DeviceIndex(slices, classes, nodes=nodes(count))


def _anywhere(device: Document) -> Document:
    return {key: value for key, value in device.items() if key not in _REACH}


def rounds_of_claims(case: Document, rounds: int) -> list[list[Claim]]:
    claims = [translate_claim(document, namespace_allows_admin=True) for document in case["claims"]]
    return [
        [
            replace(claim, key=ClaimKey(f"{claim.key}-{number}"), uid=Uid(f"{claim.uid}-{number}"))
            for claim in claims
        ]
        for number in range(rounds)
    ]


def closing(index: DeviceIndex, ordinals: Iterable[int]) -> int:
    """A closure of these devices."""
    return index.closures.number_of(Closure(dict.fromkeys(ordinals, "closed")))


@pytest.mark.parametrize("is_closing", [False, True], ids=["open", "some closed"])
@pytest.mark.parametrize("preference", [None, TOPOLOGY], ids=["reference", "topology"])
def test_recalled_answers_are_those_of_a_search(preference, is_closing, monkeypatch):
    """Random pools on three nodes alike, filled round by round; each answer with and without memory."""
    searched = []
    original = allocation._searched
    monkeypatch.setattr(allocation, "_searched", lambda *rest: searched.append(1) or original(*rest))
    asked = placed = 0
    for seed in range(120):
        case = random_case(seed)
        index = fleet_of_alike_nodes(case, 3)
        # Other devices on each node, so that what is closed must tell nodes apart.
        shut = [one.ordinal for one in index.devices if one.ordinal % 7 == 0] if is_closing else []
        states = (DeviceState(), DeviceState())
        for number, claims in enumerate(rounds_of_claims(case, 3)):
            closure = closing(index, shut[number::2])
            for node in index.nodes:
                before = len(searched)
                ours = allocate(
                    index, states[0], node, claims, Options(preference=preference, closure=closure)
                )
                asked += 1 if len(searched) == before else 0
                searching = replace(SEARCH, preference=preference, closure=closure)
                theirs = allocate(index, states[1], node, claims, searching)
                assert ours == theirs, f"seed {seed}, {node.name}"
                if not isinstance(ours, DeviceRefusal):
                    placed += 1
                    for state in states:
                        for granted in ours:
                            state.take(granted)
    # The property is empty unless much is recalled and much is found.
    assert asked > 40
    assert placed > 100


def zoned(count: int) -> DeviceIndex:
    """Nodes of 18 devices in six zones: nobody gets seven of different zones, which takes thousands of steps to see."""
    slices = []
    for number, node in enumerate(nodes(count)):
        zones = [a_device(f"gpu-{n:02d}", attributes={"zone": n % 6, "odd": number % 2}) for n in range(18)]
        entry = a_slice(*zones, pool=node.name, name=node.name)
        entry["spec"]["nodeName"] = node.name
        slices.append(translate_slice(entry))
    return DeviceIndex(slices, [translate_class(a_class())], nodes=nodes(count))


def refusals(index: DeviceIndex, names: Sequence[str], budget: int) -> list[str]:
    """How a cycle ends for claims of seven devices of different zones, one node and claim after another."""
    state = DeviceState()
    found = []
    for name in names:
        request = a_request("gpu", f'"{name}" != ""', count=7)
        claim = a_claim(request, name=name, constraints=[{"distinctAttribute": f"{DRIVER}/zone"}])
        for node in index.nodes:
            try:
                with state.meter.turn(budget - state.meter.units):
                    outcome = allocate(index, state, node, [claim], Options())
            except OutOfWork:
                found.append("out of work")
                continue
            assert isinstance(outcome, DeviceRefusal)
            found.append(f"{outcome.kind} at {state.meter.units}")
    return found


def test_steps_of_a_recalled_search_count_like_those_of_a_search():
    """Else the budget of a cycle would depend on what earlier cycles have seen."""
    index = zoned(1)
    claims = [f"c{number}" for number in range(6)]

    cold = refusals(index, claims, 120_000)

    assert refusals(index, claims, 120_000) == cold
    assert {text.split()[0] for text in cold} == {"no_fit", "budget"}


def test_nodes_alike_are_searched_and_paid_for_once():
    found = refusals(zoned(40), ["c"], 120_000)

    units = [int(text.removeprefix("no_fit at ")) for text in found]
    assert units[-1] - units[0] < units[0]


ONE = (Node(name=NodeName("n1"), labels=(("kubernetes.io/hostname", "n1"),)),)
MODELS = ("a", "b", "c")
SELECTORS = [
    (),
    (f'device.attributes["{DRIVER}"].model == "a"',),
    (f'device.attributes["{DRIVER}"].model != "c"',),
    (f'device.attributes["{DRIVER}"].model == "b"', "true"),
    (f'device.attributes["{DRIVER}"].model == "z"',),
]
TAINT = {"key": "sick", "effect": "NoSchedule"}


@st.composite
def plain_fleets(draw: st.DrawFn) -> list[Document]:
    """One to three pools of whole devices on one node."""
    slices = []
    for pool in range(draw(st.integers(1, 3))):
        devices = [
            a_device(
                f"gpu-{number}",
                attributes={"model": draw(st.sampled_from(MODELS))},
                **({"taints": [TAINT]} if draw(st.integers(0, 5)) == 0 else {}),
            )
            for number in range(draw(st.integers(1, 5)))
        ]
        driver = draw(st.sampled_from([DRIVER, "b.example.com"]))
        slices.append(a_slice(*devices, driver=DRIVER, pool=f"pool-{pool}", name=f"{driver}-{pool}"))
    return slices


@st.composite
def plain_claims(draw: st.DrawFn) -> list[Claim]:
    claims = []
    for number in range(draw(st.integers(1, 3))):
        tolerations = [{"operator": "Exists"}] if draw(st.booleans()) else []
        request = a_request(
            "gpu",
            *draw(st.sampled_from(SELECTORS)),
            count=draw(st.integers(1, 3)),
            **({"tolerations": tolerations} if tolerations else {}),
        )
        claims.append(a_claim(request, name=f"claim-{number}"))
    return claims


def index_of(slices: list[Document]) -> DeviceIndex:
    return DeviceIndex(
        [translate_slice(document) for document in slices], [translate_class(a_class())], nodes=ONE
    )


@given(plain_fleets(), plain_claims(), st.lists(st.integers(1, 3), max_size=3), st.sets(st.integers(0, 14)))
def test_counted_claims_get_what_a_search_gives(slices, claims, held_counts, shut):
    index = index_of(slices)
    closure = closing(index, shut)
    state = DeviceState()
    for count in held_counts:
        held = allocate(index, state, ONE[0], [a_claim(a_request(count=count), name="held")], SEARCH)
        for granted in () if isinstance(held, DeviceRefusal) else held:
            state.take(granted)

    ours = allocate(index, state, ONE[0], claims, Options(closure=closure))

    assert all(plain_requirement(index, claim.spec, closure) is not None for claim in claims)
    assert ours == allocate(index, state, ONE[0], claims, replace(SEARCH, closure=closure))
    given_away = {
        one.device_id for part in ([] if isinstance(ours, DeviceRefusal) else ours) for one in part.results
    }
    assert given_away.isdisjoint(one.device_id for one in index.devices if one.ordinal in shut)
    preferred = allocate(index, state, ONE[0], claims, Options(preference=TOPOLOGY, closure=closure))
    assert isinstance(preferred, DeviceRefusal) == isinstance(ours, DeviceRefusal)


@given(
    plain_fleets(), st.sampled_from(SELECTORS), st.booleans(), st.integers(0, 4), st.sets(st.integers(0, 14))
)
def test_the_count_of_free_devices_is_how_many_claims_a_search_serves(
    slices, selectors, tolerates, held, shut
):
    index = index_of(slices)
    closure = closing(index, shut)
    search = replace(SEARCH, closure=closure)
    fields = {"tolerations": [{"operator": "Exists"}]} if tolerates else {}
    claim = a_claim(a_request("gpu", *selectors, **fields))
    state = DeviceState()
    for _ in range(held):
        taken = allocate(index, state, ONE[0], [a_claim(a_request(), name="held")], SEARCH)
        for granted in () if isinstance(taken, DeviceRefusal) else taken:
            state.take(granted)
    need = plain_requirement(index, claim.spec, closure)
    assert need is not None
    counted = int(matching_free(index, state, need)[0])

    served = 0
    while not isinstance(found := allocate(index, state, ONE[0], [claim], search), DeviceRefusal):
        state.take(found[0])
        served += 1

    assert counted == served


def test_whole_devices_without_constraints_never_enter_the_search(monkeypatch):
    def no_search(self):
        raise AssertionError("searched")

    fleet = a_slice(*(a_device(f"gpu-{n}", attributes={"model": "a"}) for n in range(8)))
    claims = [
        {
            "metadata": {"name": f"c{n}", "namespace": "team", "uid": f"c{n}"},
            "kind": "ResourceClaim",
            "apiVersion": "resource.k8s.io/v1",
            "spec": {"devices": {"requests": [a_request(count=2)]}},
        }
        for n in range(5)
    ]
    users = [a_user(f"p{n}", f"c{n}") for n in range(5)]
    monkeypatch.setattr(Search, "run", no_search)

    decided = decide(fleet, *claims, *users)

    assert len(decided.plan.binds) == 4
    assert decided.verdict_of("p4").blocker == "Devices"


@pytest.mark.parametrize("seed", range(25))
def test_a_warm_memory_decides_like_a_cold_one(seed):
    case = random_case(seed)
    claims = [
        {**document, "kind": "ResourceClaim", "apiVersion": "resource.k8s.io/v1"}
        for document in case["claims"]
    ]
    for document in claims:
        document["metadata"] = {**document["metadata"], "namespace": "team"}
    users = [a_user(f"p{n}", document["metadata"]["name"]) for n, document in enumerate(claims)]
    slices = [
        {
            **document,
            "spec": {**{k: v for k, v in document["spec"].items() if k not in _REACH}, "nodeName": "n1"},
        }
        for document in case["resourceSlices"]
    ]
    for document in slices:
        document["spec"]["devices"] = [_anywhere(device) for device in document["spec"].get("devices", ())]
    decided = decide(*slices, *case["deviceClasses"], *claims, *users)
    cache = FleetCache()

    plans = [plan_cycle(decided.snapshot, Policy(), cache) for _ in range(3)]

    assert plans == [decided.plan] * 3
