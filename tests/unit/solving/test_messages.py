"""Snapshots travel as columns and arrive equal."""

from __future__ import annotations

import pickle
from dataclasses import replace

import pytest

from kai_sched.errors import SolverFailed
from kai_sched.model.ids import QueueName
from kai_sched.model.policy import Policy
from kai_sched.model.snapshot import Fleet
from kai_sched.model.workloads import PodState
from kai_sched.solving.frames import decode, encode
from kai_sched.solving.messages import DecideRequest, SnapshotColumns
from tests.builders import a_group, a_node, a_pod, a_snapshot, a_spec


def test_a_snapshot_arrives_as_it_was_sent() -> None:
    snapshot = a_snapshot(
        nodes=[a_node("n1"), a_node("n2", labels={"zone": "a"})],
        pods=[a_pod(f"p{index}", a_spec(gpus=index % 3), group=f"g{index % 2}") for index in range(7)],
        groups=[a_group("g0"), a_group("g1", min_member=3, required="rack")],
    )
    request = DecideRequest(
        number=1, columns=SnapshotColumns.of(snapshot), policy=Policy(), fleet=snapshot.fleet
    )

    _, *parts = encode(request)
    received = decode([bytes(part) for part in parts])

    assert isinstance(received, DecideRequest)
    assert received.fleet is not None
    assert received.columns.restore(received.fleet) == snapshot


def test_records_that_are_plain_pairs_arrive_too() -> None:
    snapshot = replace(a_snapshot(nodes=[a_node("n1")]), queues_elsewhere=((QueueName("q"), "gold"),))

    _, *parts = encode(SnapshotColumns.of(snapshot))
    received = decode([bytes(part) for part in parts])

    assert isinstance(received, SnapshotColumns)
    assert received.restore(snapshot.fleet) == snapshot


def test_the_fleet_does_not_travel_with_the_work() -> None:
    snapshot = a_snapshot(nodes=[a_node(f"n{index:03d}") for index in range(200)])

    columns = SnapshotColumns.of(snapshot)

    assert columns.snapshot.fleet == Fleet(version=snapshot.fleet.version)
    assert len(encode(columns)[1]) < 2000


def test_equal_specs_stay_shared_across_the_border() -> None:
    snapshot = a_snapshot(pods=[a_pod(f"p{index}", spec) for spec in [a_spec()] for index in range(50)])

    _, *parts = encode(SnapshotColumns.of(snapshot))
    received = decode([bytes(part) for part in parts])

    assert isinstance(received, SnapshotColumns)
    pods = received.restore(replace(snapshot.fleet)).pods
    assert len({id(pod.spec) for pod in pods}) == 1


class Written:
    """Pickles as a call of ``getattr``."""

    def __init__(self, owner: object, name: str) -> None:
        self.call = (getattr, (owner, name))

    def __reduce__(self) -> tuple[object, ...]:
        return self.call


def test_members_of_enums_arrive_as_early_python_3_11_writes_them() -> None:
    assert decode([pickle.dumps(Written(PodState, "RUNNING"))]) is PodState.RUNNING


def calling(module: str, name: str, argument: str) -> bytes:
    """A pickle that calls what it names by module and (dotted) name."""
    texts = b"".join(b"\x8c" + bytes([len(text)]) + text.encode() for text in (module, name, argument))
    parts = texts[: 2 + len(module)], texts[2 + len(module) :][: 2 + len(name)], texts[-2 - len(argument) :]
    return b"\x80\x04" + parts[0] + parts[1] + b"\x93" + parts[2] + b"\x85R."


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("kai_sched.solving.child", "os.system"),
        ("kai_sched.solving.child", "os"),
        ("kai_sched.solving.messages", "Mapping"),
        ("kai_sched.model.snapshot", "dataclass"),
        ("kai_sched.model.snapshot", "ClusterSnapshot.__init_subclass__"),
        ("kai_sched.model.integers", "int_of_digits"),
        ("kai_sched.localcluster.folders", "Path"),
        ("kai_sched.model.plan", "StrEnum"),
        ("os", "system"),
        ("builtins", "eval"),
    ],
)
def test_no_function_and_nothing_that_a_module_imported_is_reached_by_name(module: str, name: str) -> None:
    with pytest.raises(SolverFailed, match="does not belong here"):
        decode([calling(module, name, "true")])


@pytest.mark.parametrize(
    ("owner", "name"), [(PodState, "mro"), (Fleet, "__init_subclass__"), (Fleet(), "nodes")]
)
def test_nothing_else_is_read_by_name(owner: object, name: str) -> None:
    with pytest.raises(SolverFailed):
        decode([pickle.dumps(Written(owner, name))])
