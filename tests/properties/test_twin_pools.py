"""The judge and the allocator read pools by code of their own; over random slices they see the same devices."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kai_sched.devices.index import DeviceIndex
from kai_sched.model.devices import CounterConsumption, CounterSet, Device, ResourceSlice
from kai_sched.model.ids import NodeName
from kai_sched.model.selectors import NodeSelector, NodeSelectorTerm, Operator, Requirement
from kai_sched.placement.checker.pools import Pools
from tests.builders import a_node

NODES = tuple(a_node(f"n{number}", labels={"rack": f"r{number % 2}"}) for number in range(3))
DRIVER = "gpu.example.com"


def in_rack(name: str) -> NodeSelector:
    return NodeSelector((NodeSelectorTerm((Requirement("rack", Operator.IN, (name,)),)),))


@st.composite
def places(draw: st.DrawFn) -> dict[str, object]:
    """Where a slice or a device is for."""
    match draw(st.integers(0, 3)):
        case 0 | 1:
            return {"node_name": NodeName(f"n{draw(st.integers(0, 2))}")}
        case 2:
            return {"node_selector": in_rack(f"r{draw(st.integers(0, 1))}")}
        case _:
            return {"all_nodes": True}


@st.composite
def slices(draw: st.DrawFn, number: int) -> ResourceSlice:
    each = draw(st.integers(0, 5)) == 0
    devices = []
    for _ in range(draw(st.integers(0, 2))):
        uses = CounterConsumption("set", ((draw(st.sampled_from(["units", "units", "strange"])), 1),))  # type: ignore[arg-type]
        where = draw(places()) if each else {}
        devices.append(
            Device(
                name=f"d{draw(st.integers(0, 5))}",
                consumes_counters=(uses,) if draw(st.integers(0, 3)) == 0 else (),
                **where,  # type: ignore[arg-type]
            )
        )
    counters = (CounterSet("set", (("units", 4),)),) if draw(st.integers(0, 3)) == 0 else ()  # type: ignore[arg-type]
    return ResourceSlice(
        name=f"s{number}",
        driver=DRIVER,
        pool="pool",
        generation=draw(st.sampled_from([1, 1, 2])),
        slice_count=draw(st.sampled_from([1, 1, 2, 3])),
        devices=tuple(devices),
        shared_counters=counters,
        **({"per_device_node_selection": True} if each else draw(places())),  # type: ignore[arg-type]
    )


@given(st.data())
def test_both_see_the_same_devices_of_a_pool_from_every_node(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 4))
    published = [data.draw(slices(number)) for number in range(count)]
    index, pools = DeviceIndex(published, (), nodes=NODES), Pools(published)

    for node in NODES:
        by_allocator = {
            entry.name
            for pool in index.pools_of(node)
            for entry in pool.devices
            if entry.ordinal not in pool.unreachable
        }
        seen = pools.seen((DRIVER, "pool"), node)
        assert {name for name, found in seen.devices.items() if found.reaches(node)} == by_allocator
