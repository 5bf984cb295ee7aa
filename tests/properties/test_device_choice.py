"""Choosing devices by where they lie never changes who gets devices, and never picks a worse set than first fit."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from kai_sched.devices.allocator import DeviceRefusal, DeviceState, Options, allocate
from kai_sched.topology.devices import DevicePreference
from tests.unit.devices.dra import NODE, a_claim, a_device, a_request, a_slice, an_index

ISLANDS = ("nvlink",)
KINDS = ("a", "b")


@st.composite
def nodes_of_devices(draw: st.DrawFn) -> list:
    """Up to eight devices in random places; some are pieces of shared hardware, some may be shared."""
    devices = []
    for number in range(draw(st.integers(1, 8))):
        attributes = {
            "kind": draw(st.sampled_from(KINDS)),
            "nvlink": draw(st.sampled_from("xyz")),
            "resource.kubernetes.io/numaNode": draw(st.integers(0, 1)),
            "resource.kubernetes.io/pcieRoot": draw(st.sampled_from(("r", "s", "t"))),
        }
        counters = draw(st.sampled_from((None, None, {"slots": "1"}, {"slots": "2"})))
        is_shared = counters is None and draw(st.booleans())
        fields = {"allowMultipleAllocations": True, "capacity": {"memory": "40Gi"}} if is_shared else {}
        devices.append(a_device(f"d{number}", attributes=attributes, counters=counters, **fields))
    return devices


@st.composite
def claims(draw: st.DrawFn):
    """One claim of one or two requests, sometimes tied together."""
    names = draw(st.sampled_from((("one",), ("one", "two"))))
    requests = [
        a_request(
            name,
            *draw(
                st.sampled_from(
                    ((), *((f"device.attributes['gpu.example.com'].kind == '{kind}'",) for kind in KINDS))
                )
            ),
            count=draw(st.integers(1, 3)),
        )
        for name in names
    ]
    constraints = draw(
        st.sampled_from(
            ([], [{"matchAttribute": "gpu.example.com/kind"}], [{"matchAttribute": "gpu.example.com/nvlink"}])
        )
    )
    return a_claim(*requests, **({"constraints": constraints} if constraints else {}))


@given(devices=nodes_of_devices(), first=claims(), second=claims())
def test_the_verdict_is_the_references_and_the_set_no_worse(devices, first, second):
    sets = [{"name": "set", "counters": {"slots": {"value": "4"}}}]
    index = an_index(
        [a_slice(name="counters", of=2, sharedCounters=sets), a_slice(*devices, name="devices", of=2)]
    )
    preference = DevicePreference(ISLANDS)
    state = DeviceState()
    before = allocate(index, state, NODE, [replace(first, uid="uid-first")])
    if not isinstance(before, DeviceRefusal):
        state.take(before[0])

    reference = allocate(index, state, NODE, [second])
    topology = allocate(index, state, NODE, [second], Options(preference=preference))

    assert isinstance(topology, DeviceRefusal) == isinstance(reference, DeviceRefusal)
    if isinstance(topology, DeviceRefusal):
        assert topology == reference
        return
    assert [result.request for result in topology[0].results] == [
        result.request for result in reference[0].results
    ]
    devices_by_name = {entry.name: entry.device for entry in index.devices}

    def spans(allocation) -> tuple[float, ...]:
        chosen = [("gpu.example.com", devices_by_name[result.device]) for result in allocation.results]
        return preference([])(chosen)[:3]

    assert spans(topology[0]) <= spans(reference[0])


@given(devices=nodes_of_devices(), claim=claims())
def test_choosing_twice_gives_the_same(devices, claim):
    index = an_index([a_slice(*[entry for entry in devices if "consumesCounters" not in entry])])

    answers = [
        allocate(index, DeviceState(), NODE, [claim], Options(preference=DevicePreference(ISLANDS)))
        for _ in range(2)
    ]

    assert answers[0] == answers[1]
