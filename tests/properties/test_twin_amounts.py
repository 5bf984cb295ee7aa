"""The judge counts what queues hold by code of its own; over random clusters it finds what the engine's account says."""

from __future__ import annotations

import pytest
from hypothesis import given

from kai_sched.devices.index import DeviceIndex
from kai_sched.model.plan import Plan
from kai_sched.model.policy import Policy
from kai_sched.model.queues import QuotaVector
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.model.workloads import ACTIVE
from kai_sched.placement.checker.pools import Pools
from kai_sched.planning.accounting import Accounting
from kai_sched.planning.checks.amounts import Amounts
from kai_sched.planning.checks.holdings import Ledgers
from kai_sched.planning.checks.payers import Payers
from tests.builders import NOW, a_group, a_node, a_pod, a_snapshot
from tests.strategies import snapshots

POLICY = Policy()


def by_engine(snapshot: ClusterSnapshot) -> dict[str, QuotaVector]:
    usage = Accounting.of(snapshot, POLICY, DeviceIndex.of(snapshot.fleet)).usage()
    return {queue: leaf.allocated for queue, leaf in usage.items() if leaf.allocated != QuotaVector()}


def by_judge(snapshot: ClusterSnapshot) -> dict[str, QuotaVector]:
    amounts = Amounts(snapshot.fleet, POLICY, Pools(snapshot.fleet.slices))
    ledgers = Ledgers(snapshot, Plan(now=NOW), amounts, Payers(snapshot, POLICY))
    held: dict[str, QuotaVector] = {}
    for place, vector in ledgers.before().items():
        held[place.queue] = held.get(place.queue, QuotaVector()) + vector
    return {queue: vector for queue, vector in held.items() if vector != QuotaVector()}


@given(snapshots())
def test_both_charge_what_runs_to_the_same_queues(snapshot: ClusterSnapshot) -> None:
    engine, judge = by_engine(snapshot), by_judge(snapshot)
    unallocated = {claim.key for claim in snapshot.claims if claim.allocation is None}
    is_exact = not any(
        unallocated.intersection(pod.claim_keys) for pod in snapshot.pods if pod.state in ACTIVE
    )

    assert judge.keys() <= engine.keys()
    for queue, vector in engine.items():
        mine = judge.get(queue, QuotaVector())
        assert mine.cpu == pytest.approx(vector.cpu)
        assert mine.memory == pytest.approx(vector.memory)
        assert mine.gpu == pytest.approx(vector.gpu) if is_exact else mine.gpu <= vector.gpu + 1e-6


def test_the_property_catches_an_account_that_forgets_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = a_snapshot(nodes=[a_node("n")], pods=[a_pod("p", group="g", node="n")], groups=[a_group("g")])
    assert by_engine(snapshot) == by_judge(snapshot)

    monkeypatch.setattr(Accounting, "_plain_gpus", lambda *_: 0.0)

    assert by_engine(snapshot) != by_judge(snapshot)
