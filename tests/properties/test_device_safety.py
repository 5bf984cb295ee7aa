"""No device, counter or capacity is ever given twice: random histories of claims, releases and crashes.

Every cycle's plan is carried out whole or, as by a crash, only in part: claims written but pods not bound, or only the
first writes of a gang. What claims then hold is added up here from the published slices, with nothing of the allocator.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kai_sched.devices.index import DeviceIndex
from kai_sched.model.devices import Claim, Consumer, DeviceConstraint, DeviceRequest
from kai_sched.model.plan import Plan
from kai_sched.model.policy import DeviceChoice, Policy
from kai_sched.model.queues import UNLIMITED
from kai_sched.model.snapshot import ClusterSnapshot, Fleet
from kai_sched.model.workloads import Pod, PodGroup, PodState
from kai_sched.placement.site.fleet_index import FleetCache
from kai_sched.planning.accounting import Accounting
from kai_sched.planning.checks.plan_checker import PlanChecker
from kai_sched.planning.cycle import plan_cycle
from tests.builders import NOW, a_group, a_queue
from tests.fleets import a_claim, a_fleet, asks_gpu, asks_mig, claiming, on_fleet

pytestmark = pytest.mark.solver

MIB = 1 << 20


def fleet() -> Fleet:
    """Two GPUs that may be cut, two that may be shared, two whole ones, and accelerators on a network."""
    return a_fleet(
        {
            "name": "cut",
            "count": 1,
            "devices": [{"profile": "nvidia-h100", "partitions": "dynamic", "count": 2}],
        },
        {
            "name": "shared",
            "count": 1,
            "devices": [{"profile": "nvidia-h100", "sharing": "memory", "count": 2}],
        },
        {"name": "whole", "count": 1, "devices": [{"profile": "nvidia-h100", "count": 2}]},
        attached=[{"name": "net", "profile": "fabric-accelerator"}],
    )


def some_request(rng: random.Random, name: str) -> DeviceRequest:
    """One of the ways to ask."""
    match rng.randrange(6):
        case 0:
            return asks_gpu(rng.choice((1, 1, 2)), name)
        case 1:
            return DeviceRequest(
                name=name,
                device_class="gpu.nvidia.com",
                capacity=(("memory", Fraction(rng.choice((10_000, 30_000, 60_000)) * MIB)),),
                has_capacity_requests=True,
            )
        case 2:
            return DeviceRequest(name=name, device_class="fabric-accelerator", count=rng.choice((1, 2, 3)))
        case 3:
            alternatives = (
                replace(asks_gpu(), name="whole"),
                replace(asks_mig("3g.40gb"), name="half"),
            )
            return DeviceRequest(name=name, first_available=alternatives)
        case _:
            profile = rng.choice(("1g.10gb", "1g.20gb", "2g.20gb", "3g.40gb", "4g.40gb", "7g.80gb"))
            return asks_mig(profile, count=rng.choice((1, 1, 2)), name=name)


@dataclass
class History:
    """A cluster's claims and pods, moved on by random events."""

    rng: random.Random
    policy: Policy
    limit: float = UNLIMITED
    """GPUs that the queue of all may hold."""
    fleet: Fleet = field(default_factory=fleet)
    pods: dict[str, Pod] = field(default_factory=dict)
    groups: dict[str, PodGroup] = field(default_factory=dict)
    claims: dict[str, Claim] = field(default_factory=dict)
    cache: FleetCache = field(default_factory=FleetCache)
    made: int = 0

    def arrive(self) -> None:
        """A gang of one to three pods, with claims of their own or one shared by all."""
        name, size = f"g{self.made:03d}", self.rng.randint(1, 3)
        self.made += 1
        group = a_group(name, min_member=self.rng.randint(1, size), created_at=NOW - 1000 + self.made)
        self.groups[group.key] = group
        shared = [self._claim(f"{name}-shared", "")] if self.rng.random() < 0.25 else []
        for number in range(size):
            pod_name = f"{name}-{number}"
            own = shared or [self._claim(f"{pod_name}-own", pod_name)]
            pod = claiming(pod_name, name, *own)
            self.pods[pod.key] = pod

    def _claim(self, name: str, owner: str) -> Claim:
        requests = [some_request(self.rng, f"r{one}") for one in range(self.rng.choice((1, 1, 2)))]
        constraints = ()
        if len(requests) == 1 and requests[0].device_class == "fabric-accelerator":
            constraints = (DeviceConstraint((), match_attribute="fabric.kai-sched.dev/fabric"),)
        claim = a_claim(name, *requests, owner=owner, constraints=constraints)
        self.claims[claim.key] = claim
        return claim

    def leave(self) -> None:
        """A pod ends, and with it the claims that nobody else uses."""
        if not self.pods:
            return
        gone = self.pods.pop(self.rng.choice(sorted(self.pods)))
        for ref in gone.claims:
            if ref.claim is None or ref.claim not in self.claims:
                continue
            claim = self.claims[ref.claim]
            rest = tuple(consumer for consumer in claim.reserved_for if consumer.uid != gone.uid)
            if any(other.claim == ref.claim for pod in self.pods.values() for other in pod.claims):
                self.claims[ref.claim] = replace(
                    claim, reserved_for=rest, allocation=claim.allocation if rest else None
                )
            else:
                del self.claims[ref.claim]

    def decide(self) -> Plan:
        return plan_cycle(self.snapshot(), self.policy, self.cache)

    def snapshot(self) -> ClusterSnapshot:
        queues = (a_queue("dept", parent=None), a_queue("team-a", limit=self.limit))
        claims = list(self.claims.values())
        return on_fleet(self.fleet, self.pods.values(), self.groups.values(), claims, queues=queues)

    def held(self) -> float:
        """GPUs that the queue's running pods hold."""
        snapshot = self.snapshot()
        account = Accounting.of(snapshot, self.policy, DeviceIndex.of(snapshot.fleet))
        return sum(usage.allocated.gpu for usage in account.usage().values())

    def carry_out(self, plan: Plan, *, share: float) -> None:
        """Claim writes first, then binds, as the binder does; a share below one is a crash in between."""
        writes = [(bind, entry) for bind in plan.binds for entry in bind.claims]
        steps = len(writes) + len(plan.binds)
        done = round(share * steps)
        for bind, entry in writes[:done]:
            claim = self.claims[entry.claim]
            consumer = Consumer("pods", bind.pod.rsplit("/", 1)[-1], bind.uid)
            self.claims[entry.claim] = replace(
                claim,
                allocation=claim.allocation or entry.allocation,
                reserved_for=(*claim.reserved_for, consumer),
            )
        for bind in plan.binds[: max(0, done - len(writes))]:
            self.pods[bind.pod] = replace(self.pods[bind.pod], node=bind.node, state=PodState.RUNNING)


def overdrawn(fleet: Fleet, claims: list[Claim]) -> Iterator[str]:
    """What is given more often than it is there."""
    published = {
        (one.driver, one.pool, device.name): device for one in fleet.slices for device in one.devices
    }
    counters = {
        (one.driver, one.pool, group.name, name): amount
        for one in fleet.slices
        for group in one.shared_counters
        for name, amount in group.counters
    }
    holders: Counter[tuple[str, str, str]] = Counter()
    consumed: dict[tuple[tuple[str, str, str], str], Fraction] = defaultdict(Fraction)
    for claim in claims:
        for result in claim.allocation.results if claim.allocation is not None else ():
            key = (result.driver, result.pool, result.device)
            holders[key] += 1
            for name, amount in result.consumed_capacity:
                consumed[key, name] += amount
    used: dict[tuple[str, str, str, str], Fraction] = defaultdict(Fraction)
    for key, count in holders.items():
        if key not in published:
            yield f"{key} is not published"
            continue
        device = published[key]
        if count > 1 and not device.allow_multiple_allocations:
            yield f"{key} is given {count} times"
        for use in device.consumes_counters:
            for name, amount in use.counters:
                used[(*key[:2], use.counter_set, name)] += amount
    for counter, amount in used.items():
        if amount > counters[counter]:
            yield f"{counter}: {amount} of {counters[counter]}"
    for (key, name), amount in consumed.items():
        if amount > dict(published[key].capacity)[name].value:
            yield f"{key}: {amount} of {name}"


def run(history: History, events: list[tuple[str, float]]) -> list[str]:
    """Everything that was overdrawn at some time."""
    found: list[str] = []
    for kind, share in events:
        if kind == "arrive":
            history.arrive()
        elif kind == "leave":
            history.leave()
        else:
            plan = history.decide()
            found += map(str, PlanChecker()(history.snapshot(), history.policy, plan))
            history.carry_out(plan, share=share)
            if UNLIMITED != history.limit < history.held():
                found.append(f"{history.held()} GPUs are held in a queue limited to {history.limit}")
        found += overdrawn(history.fleet, list(history.claims.values()))
    return found


events = st.lists(
    st.one_of(
        st.just(("arrive", 0.0)),
        st.just(("arrive", 0.0)),
        st.just(("leave", 0.0)),
        st.tuples(st.just("decide"), st.sampled_from([1.0, 1.0, 0.3, 0.6, 0.9])),
    ),
    min_size=4,
    max_size=16,
)


@given(
    st.integers(0, 2**32), events, st.sampled_from(list(DeviceChoice)), st.sampled_from([UNLIMITED, 2.0, 5.0])
)
def test_nothing_is_ever_given_twice_nor_past_the_limit_of_the_queue(
    seed: int, happens: list[tuple[str, float]], choice: DeviceChoice, limit: float
) -> None:
    history = History(random.Random(seed), Policy(device_choice=choice, advice_units=0), limit)

    assert run(history, [*happens, ("decide", 1.0)]) == []


LIES = {
    "counters never run out": [
        ("kai_sched.devices.counters.CounterLedger.charge", lambda *_: True),
        ("kai_sched.devices.counters.CounterLedger.refund", lambda *_: None),
    ],
    "no device is in use": [("kai_sched.devices.attempt.Attempt.is_in_use", lambda *_: False)],
    "capacity never runs out": [
        ("kai_sched.devices.attempt.fits_beside", lambda *_: True),
        ("kai_sched.devices.attempt.Attempt.is_in_use", lambda *_: False),
    ],
}


@pytest.mark.parametrize("lie", LIES)
def test_an_allocator_that_lies_is_found_out(lie: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for where, answer in LIES[lie]:
        monkeypatch.setattr(where, answer)
    happens = [("arrive", 0.0)] * 12 + [("decide", 1.0)]

    found = [
        message
        for seed in range(12)
        for message in run(History(random.Random(seed), Policy(use_solver=False, advice_units=0)), happens)
    ]

    assert found
