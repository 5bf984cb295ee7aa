"""What was refused or conceded once is asked again as soon as it may have become possible."""

from __future__ import annotations

import pytest

from kai_sched.model.plan import Plan
from kai_sched.model.policy import Policy
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.model.workloads import PodSpec
from kai_sched.placement.gangs import build_gang
from kai_sched.placement.seating.greedy import place_core
from kai_sched.placement.site.fleet_index import FleetCache
from kai_sched.placement.world.boards import Boards
from kai_sched.placement.world.build import build_world
from kai_sched.placement.world.ground import Ground
from kai_sched.placement.world.horizon import Horizon
from kai_sched.placement.world.world import World
from kai_sched.planning.cycle import plan_cycle
from tests.builders import a_spec
from tests.unit.placement.memory_worlds import FIRST_BIG, Scene, a_pool, asks, beside

GREEDY = Policy(use_solver=False)
ON_THE_NETWORK = a_pool("shared", "net", all_nodes=True)


def placed(snapshot: ClusterSnapshot, policy: Policy = GREEDY) -> dict[str, str]:
    return {bind.pod.split("/")[1]: bind.node for bind in plan_cycle(snapshot, policy).binds}


def chosen(plan: Plan, pod: str) -> str:
    """The alternative that a pod got."""
    (bind,) = [bind for bind in plan.binds if bind.pod == f"team/{pod}"]
    (claim,) = bind.claims
    assert claim.allocation is not None
    return claim.allocation.results[0].request


@pytest.mark.parametrize("use_solver", [False, True])
def test_a_running_gang_grows_on_a_network_device_that_a_hopeless_gang_gave_back(use_solver: bool):
    scene = Scene().gang("hopeless", 2, asks()).running("filler", "x", 2000)
    scene.running("grows-r", "y", 100, group="grows")
    snapshot = scene.gang("grows", 1, asks(), min_member=2, required="rack").on(ON_THE_NETWORK)

    assert placed(snapshot, Policy(use_solver=use_solver)) == {"grows-0": "y"}


def test_boards_show_again_what_a_rollback_gave_back():
    snapshot = Scene().gang("hopeless", 2, asks()).on(ON_THE_NETWORK)
    world = build_world(snapshot, GREEDY, FleetCache())
    boards = Boards(world)
    gang = build_gang(snapshot.pod_groups[0], [0, 1], snapshot.pods, lambda _: True)
    shape = world.base.shape_of(0)

    assert place_core(Ground(boards), gang) is not None

    anew = Boards(world).slots(shape, Horizon.NOW)
    assert boards.slots(shape, Horizon.NOW).tolist() == anew.tolist() == [1, 1]


def test_after_a_hopeless_gang_the_first_alternative_is_given_where_it_is_free():
    scene = Scene().gang("hopeless", 3, FIRST_BIG).gang("second", 1, FIRST_BIG)
    snapshot = scene.running("filler", "x", 2000).on(a_pool("x", "small"), a_pool("y", "big"))

    assert chosen(plan_cycle(snapshot, GREEDY), "second-0") == "r/big"


def test_a_gang_like_one_that_failed_is_placed_once_its_neighbour_is_there():
    needs_a = beside("a", "b")
    scene = Scene().gang("early", 1, spec=needs_a, priority=60)
    scene.gang("neighbour", 1, spec=a_spec(gpus=0, cpu=1000, labels=(("app", "a"),)), priority=55)
    snapshot = scene.gang("late", 1, spec=needs_a).on()

    found = placed(snapshot)

    assert found.keys() == {"neighbour-0", "late-0"}
    assert found["late-0"] == found["neighbour-0"]


def test_a_neighbour_that_comes_lets_a_pod_have_its_first_alternative():
    def an_a_in(rack: str) -> PodSpec:
        return a_spec(gpus=0, cpu=100, labels=(("app", "a"),), node_selector=(("rack", rack),))

    scene = Scene().gang("a-in-x", 1, spec=an_a_in("x"), priority=90)
    scene.gang("early", 1, FIRST_BIG, spec=beside("a", "b"), priority=80)
    scene.gang("a-in-y", 1, spec=an_a_in("y"), priority=70)
    scene.gang("follows", 1, FIRST_BIG, spec=beside("a", "b"), priority=50)
    plan = plan_cycle(scene.on(a_pool("x", "small", "small"), a_pool("y", "big")), GREEDY)

    assert chosen(plan, "early-0") == "r/small"
    assert chosen(plan, "follows-0") == "r/big"


def test_a_world_that_forgets_what_was_undone_would_be_found_out(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(World, "stands", lambda *_: True)

    with pytest.raises(AssertionError):
        test_boards_show_again_what_a_rollback_gave_back()
