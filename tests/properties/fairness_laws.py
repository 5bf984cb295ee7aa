"""The laws of fair sharing as functions from a world to its violations.

The property tests run them on the code as it is, the planted-bug tests on the code with a bug put in: a law that
no bug can break says nothing.
"""

from __future__ import annotations

from dataclasses import replace

from kai_sched.fairness.ledger import Ledger
from kai_sched.fairness.ordering import ServiceOrder
from kai_sched.fairness.tree import QueueTree
from kai_sched.model.queues import QUOTA_RESOURCES, UNLIMITED, Queue
from tests.properties.fairness_worlds import World

ROUNDING = 1e-6
"""Amounts are exact inside and leave as floats."""


def _levels(world: World):
    """(siblings, what they divide) of every level, in words of each resource."""
    tree, shares = world.tree, world.shares()
    for resource in QUOTA_RESOURCES:
        yield resource, tree.roots, world.total.get(resource), shares, tree
        for parent, children in tree.children.items():
            if children:
                yield resource, children, shares[parent].fair_share.get(resource), shares, tree


def guaranteed(shares, name, resource, room):
    """min(deserved, requested), within the limit; an unlimited quota is all there is."""
    share = shares[name]
    deserved, limit = share.deserved.get(resource), share.limit.get(resource)
    asked = share.requested.get(resource)
    return min(
        room if deserved == UNLIMITED else deserved, asked if limit == UNLIMITED else min(limit, asked)
    )


def shares_beyond_capacity(world: World) -> list[str]:
    """Where guarantees fit, siblings get no more than there is for them: the cluster's or their parent's."""
    return [
        f"{resource}: {siblings} got {given} of {room}"
        for resource, siblings, room, shares, _ in _levels(world)
        if sum(guaranteed(shares, name, resource, room) for name in siblings) <= room
        and (given := sum(shares[name].fair_share.get(resource) for name in siblings)) > room + ROUNDING
    ]


def guarantees_broken(world: World) -> list[str]:
    """Every queue gets its deserved quota as far as it asks for it."""
    return [
        f"{resource}: {name} got {share} where {due} is due"
        for resource, siblings, room, shares, _ in _levels(world)
        for name in siblings
        if (share := shares[name].fair_share.get(resource))
        < (due := guaranteed(shares, name, resource, room)) - ROUNDING
    ]


def surplus_wasted(world: World) -> list[str]:
    """Nothing stays undivided while a queue with weight wants a whole unit more (without fading by history)."""
    return [
        f"{resource}: {name} wants more while {room - given} of {room} is left"
        for resource, siblings, room, shares, tree in _levels(replace(world, history=None))
        for given in [sum(shares[name].fair_share.get(resource) for name in siblings)]
        for name in siblings
        if tree.queues[name].resource(resource).over_quota_weight > 0
        and shares[name].fair_share.get(resource) + ROUNDING < most_wanted(shares, name, resource)
        and room - given > ROUNDING
    ]


def most_wanted(shares, name, resource):
    share = shares[name]
    limit, asked = share.limit.get(resource), share.requested.get(resource)
    return asked if limit == UNLIMITED else min(limit, asked)


def priority_inverted(world: World) -> list[str]:
    """Surplus reaches a lower priority only when the higher wants less than a whole unit more."""
    found = []
    for resource, siblings, room, shares, tree in _levels(replace(world, history=None)):
        over = {
            name: shares[name].fair_share.get(resource) - guaranteed(shares, name, resource, room)
            for name in siblings
        }
        for high in siblings:
            hungry = most_wanted(shares, high, resource) - shares[high].fair_share.get(resource)
            weight = tree.queues[high].resource(resource).over_quota_weight
            found.extend(
                f"{resource}: {low} got {over[low]} while {high} wants {hungry}"
                for low in siblings
                if tree.queues[low].priority < tree.queues[high].priority
                and weight > 0
                and hungry > len(siblings)
                and over[low] > len(siblings)
            )
    return found


def weight_punished(world: World, name: str, factor: float) -> list[str]:
    """A higher weight never lowers a queue's share, beyond the units that rounding moves.

    Each of the siblings' rounds may hold back less than a unit of it, which goes to others by their remainders.
    """
    heavier = tuple(
        replace(
            queue,
            **{
                resource.value: replace(
                    queue.resource(resource),
                    over_quota_weight=queue.resource(resource).over_quota_weight * factor,
                )
                for resource in QUOTA_RESOURCES
            },
        )
        if queue.name == name
        else queue
        for queue in world.queues
    )
    before, after = world.shares()[name], replace(world, queues=heavier).shares()[name]
    tree = world.tree
    siblings = tree.children[tree.queues[name].parent] if tree.queues[name].parent else tree.roots
    return [
        f"{resource}: {name} fell from {old} to {new}"
        for resource in QUOTA_RESOURCES
        if (new := after.fair_share.get(resource))
        < (old := before.fair_share.get(resource)) - len(siblings) - ROUNDING
    ]


def order_dependence(world: World, shuffled: tuple[Queue, ...]) -> list[str]:
    """Shares do not depend on the order in which queues are listed."""
    there = replace(world, queues=shuffled).shares()
    return [name for name, share in world.shares().items() if there[name] != share]


def start(world: World, jobs):
    """The order of service and its account."""
    shares = world.shares()
    ledger = Ledger.open(world.tree, shares)
    return ServiceOrder(world.tree, shares, ledger, jobs, total=world.total), ledger


def serve(world: World, jobs, *, admit: bool) -> list[str]:
    """Pop and charge all jobs; with ``admit`` only those that limits and quotas allow."""
    order, ledger = start(world, jobs)
    names = []
    while (job := order.pop()) is not None:
        preemptible = job.priority < 100
        refused = admit and (
            ledger.over_limit(job.queue, job.request)
            or (not preemptible and ledger.non_preemptible_over_quota(job.queue, job.request))
        )
        if not refused:
            ledger.charge(job.queue, job.request, is_preemptible=preemptible)
            names.append(job.uid)
    return names


def bounds_passed(world: World, jobs) -> list[str]:
    """Admitted work never carries a queue, at any level, over its limit or non-preemptible over its quota."""
    order, ledger = start(world, jobs)
    before = {
        name: (ledger.allocated(name), ledger.allocated_non_preemptible(name)) for name in world.tree.queues
    }
    while (job := order.pop()) is not None:
        preemptible = job.priority < 100
        if ledger.over_limit(job.queue, job.request) is None and (
            preemptible or ledger.non_preemptible_over_quota(job.queue, job.request) is None
        ):
            ledger.charge(job.queue, job.request, is_preemptible=preemptible)
    found = []
    for name, queue in world.tree.queues.items():
        held = (ledger.allocated(name), ledger.allocated_non_preemptible(name))
        for resource in QUOTA_RESOURCES:
            bounds = (queue.resource(resource).limit, queue.resource(resource).deserved)
            for kind, bound, now, then in zip(("limit", "quota"), bounds, held, before[name], strict=True):
                grown = now.get(resource) > then.get(resource) + ROUNDING
                if bound != UNLIMITED and grown and now.get(resource) > bound + ROUNDING:
                    found.append(f"{resource}: {name} holds {now.get(resource)}, {kind} {bound}")
    return found


def account_drift(world: World, jobs) -> list[str]:
    """What a queue holds is what its leaves hold, and giving everything back restores the start exactly."""
    order, ledger = start(world, jobs)
    start_of = {name: ledger.exact_allocated(name) for name in world.tree.queues}
    done = []
    while (job := order.pop()) is not None:
        ledger.charge(job.queue, job.request, is_preemptible=True)
        done.append(job)
    found = [
        f"{name} is not the sum of its children"
        for name, children in world.tree.children.items()
        if children
        and ledger.exact_allocated(name)
        != tuple(
            sum(part) for part in zip(*(ledger.exact_allocated(child) for child in children), strict=True)
        )
    ]
    for job in done:
        ledger.refund(job.queue, job.request, is_preemptible=True)
    return found + [f"{name} drifted" for name in start_of if ledger.exact_allocated(name) != start_of[name]]


def service_disorder(world: World, jobs, shuffled: tuple[Queue, ...]) -> list[str]:
    """Every job is served once, and in the same order whatever order things are listed in."""
    first = serve(world, jobs, admit=False)
    again = serve(
        replace(world, queues=shuffled),
        {name: list(reversed(waiting)) for name, waiting in reversed(jobs.items())},
        admit=False,
    )
    expected = sorted(job.uid for waiting in jobs.values() for job in waiting)
    found = [] if sorted(first) == expected else [f"served {first} of {expected}"]
    return found if first == again else [*found, f"{first} != {again}"]


def runs_out_of_step(world: World, jobs) -> list[str]:
    """Popping by runs gives what popping one by one gives."""
    one_by_one = serve(world, jobs, admit=False)
    order, ledger = start(world, jobs)
    by_runs = []
    while count := order.run_length():
        for job in order.pop_many(count):
            ledger.charge(job.queue, job.request, is_preemptible=True)
            by_runs.append(job.uid)
    return [] if by_runs == one_by_one else [f"{by_runs} != {one_by_one}"]


def worse_off_waited(world: World, jobs) -> list[str]:
    """Each served queue is, by the comparator's own rules, preceded by no sibling with work, at every level."""
    found = []
    order, ledger = start(world, jobs)
    waiting = {name: len(jobs.get(name, ())) for name in world.tree.leaves}
    shares = world.shares()
    while (job := order.pop()) is not None:
        path = world.tree.ancestors(job.queue)
        for name in path:
            parent = world.tree.queues[name].parent
            siblings = world.tree.children[parent] if parent else world.tree.roots
            found.extend(
                f"{name} was served before {other}"
                for other in siblings
                if other != name
                and _has_work(world.tree, other, waiting)
                and _is_over(shares[name], ledger.allocated(name))
                and not _is_over(shares[other], ledger.allocated(other))
            )
        waiting[job.queue] -= 1
        ledger.charge(job.queue, job.request, is_preemptible=True)
    return found


def _has_work(tree: QueueTree, name, waiting) -> bool:
    return any(count and name in tree.ancestors(leaf) for leaf, count in waiting.items())


def _is_over(share, held) -> bool:
    return all(held.get(resource) > share.fair_share.get(resource) + ROUNDING for resource in QUOTA_RESOURCES)
