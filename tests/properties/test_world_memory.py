"""What is remembered of a world is true of it as it is now, whatever was seated and taken back before."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from kai_sched.devices.allocator import DeviceRefusal
from kai_sched.fairness.tree import QueueTree
from kai_sched.model.plan import Plan
from kai_sched.model.policy import Policy
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.placement.gangs import Gang
from kai_sched.placement.seating.greedy import place_core
from kai_sched.placement.site.alternatives import concession_of
from kai_sched.placement.site.fleet_index import FleetCache
from kai_sched.placement.site.shapes import Shape
from kai_sched.placement.world.boards import Boards
from kai_sched.placement.world.build import build_world
from kai_sched.placement.world.ground import Ground
from kai_sched.placement.world.horizon import Horizon
from kai_sched.placement.world.world import World
from kai_sched.planning.cycle import plan_cycle
from kai_sched.planning.demand import select_demand
from tests.strategies import snapshots

GREEDY = Policy(use_solver=False, advice_units=0)


def gangs_of(world: World, snapshot: ClusterSnapshot) -> list[Gang]:
    tree = QueueTree.build(snapshot.queues)
    gangs = select_demand(snapshot, GREEDY, tree, world.base.domains, world.base.fabric_of).gangs
    return [gang for gang in gangs if gang.core_pods()]


def wrong_in(boards: Boards, pods: dict[Shape, int]) -> list[str]:
    """Where boards at hand say something else than boards made anew, or less than is so."""
    world = boards.world
    fresh = Boards(world)
    found = []
    for horizon in Horizon if world.is_releasing else (Horizon.NOW,):
        for shape, pod in pods.items():
            at_hand, anew = (each.slots(shape, horizon) for each in (boards, fresh))
            costs = (each.board(shape, horizon).cost for each in (boards, fresh))
            if not (next(costs) == next(costs)).all():
                found.append(f"cost of {shape.index}")
            least = []
            for node in (anew > 0).nonzero()[0]:
                trial = world.fork()
                seat = trial.take(pod, shape, int(node), horizon)
                is_refused = isinstance(seat, DeviceRefusal)
                if at_hand[node] != anew[node] and not (is_refused and at_hand[node] == 0):
                    found.append(f"{at_hand[node]} instead of {anew[node]} slots of {shape.index} on {node}")
                if not isinstance(seat, DeviceRefusal):
                    least.append(concession_of(seat.allocations, world.base.claims))
            if (at_hand > anew).any():
                found.append(f"more slots of {shape.index} than there are")
            if least and boards.conceded(shape, horizon) > min(least):
                found.append(f"{shape.index} need not concede so much")
    return found


def wander(snapshot: ClusterSnapshot, data: st.DataObject) -> list[str]:
    """Seats gangs and takes seats back at random; everything that boards said wrongly meanwhile."""
    world = build_world(snapshot, GREEDY, FleetCache())
    boards = Boards(world)
    gangs = gangs_of(world, snapshot)
    found: list[str] = []
    for _ in range(data.draw(st.integers(1, 6)) if gangs else 0):
        if world.seats and data.draw(st.integers(0, 2)) == 0:
            world.rollback(data.draw(st.integers(0, len(world.seats) - 1)))
        else:
            seated = {seat.pod for seat in world.seats}
            free = [gang for gang in gangs if seated.isdisjoint(gang.core_pods())]
            if free:
                gang = data.draw(st.sampled_from(free))
                horizon = data.draw(st.sampled_from(Horizon))
                place_core(Ground(boards, horizon), gang)
        seated = {seat.pod for seat in world.seats}
        waiting = [pod for gang in gangs for pod in gang.core_pods() if pod not in seated]
        found += wrong_in(boards, {world.base.shape_of(pod): pod for pod in waiting})
    return found


@given(snapshots(), st.data())
def test_boards_at_hand_say_what_boards_made_anew_say(snapshot: ClusterSnapshot, data: st.DataObject):
    assert wander(snapshot, data) == []


def decisions(plan: Plan) -> list[object]:
    placed = [(one.pod, one.node, one.claims) for one in (*plan.binds, *plan.pipelined)]
    return [placed, [(verdict.pod_group, verdict.outcome, verdict.blocker) for verdict in plan.verdicts]]


@given(snapshots())
def test_that_a_like_gang_failed_decides_nothing_that_a_search_would_not(snapshot: ClusterSnapshot):
    forgetful = replace(GREEDY, use_signatures=False)

    assert decisions(plan_cycle(snapshot, GREEDY)) == decisions(plan_cycle(snapshot, forgetful))
