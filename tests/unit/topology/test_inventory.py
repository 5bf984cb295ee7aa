"""Who holds what, what state that leaves each device in, and the picture of it."""

from fractions import Fraction

from kai_sched.model.policy import Policy
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.model.workloads import PodState
from kai_sched.topology.graph import CLUSTER
from kai_sched.topology.holders import Holders
from kai_sched.topology.inventory import Capacity, Count, Entry, State, Supply, inventory, pruned
from kai_sched.topology.picture import picture
from tests.builders import a_group, a_node, a_pod, a_snapshot, a_spec
from tests.unit.topology.fleets import CLIQUE, DRIVER, a_device, a_graph, a_held_claim, a_slice

POD = a_pod("p0", a_spec(gpus=0), node="n1", group="train")
GROUP = a_group("train", queue="team-a")


def the_inventory(snapshot: ClusterSnapshot, supply: Supply | None = None) -> Entry:
    fleet = snapshot.fleet
    graph = a_graph(fleet.nodes, fleet.slices)
    return inventory(graph, CLUSTER, Holders.of(snapshot, Policy()), supply or Supply())


def states(entry: Entry) -> dict[str, str]:
    return {each.place.name: each.state.value for each in entry.walk() if each.state is not None}


def a_node_of(*devices, claims=(), **more) -> ClusterSnapshot:
    return a_snapshot(
        nodes=[a_node("n1", gpus=0)], slices=(a_slice("n1", *devices),), claims=tuple(claims), **more
    )


def test_a_claimed_device_names_claim_pods_group_and_queue():
    claim = a_held_claim("c0", "n1", "g0", users=(POD,))

    root = the_inventory(
        a_node_of(a_device("g0"), a_device("g1"), claims=[claim], pods=[POD], groups=[GROUP])
    )

    held = next(entry for entry in root.walk() if entry.place.name == "g0")
    (holding,) = held.holders
    assert (holding.claim, holding.pods, holding.group, holding.queue) == (
        "team/c0",
        ("team/p0",),
        "team/train",
        "team-a",
    )
    assert states(root) == {"g0": "held", "g1": "free"}
    assert root.counts() == (Count(DRIVER, 2, 1),)


def test_a_claim_that_nobody_uses_holds_its_device_under_its_own_name_and_queue():
    root = the_inventory(a_node_of(a_device("g0"), claims=[a_held_claim("c0", "n1", "g0")]))

    (holding,) = next(entry for entry in root.walk() if entry.place.name == "g0").holders
    assert (holding.name, holding.queue) == ("claim team/c0", "labelled")


def test_a_device_of_which_a_partition_is_held_is_partly_free_and_counts_as_not_free():
    devices = a_device("g0", uuid="A"), a_device("a0", parentUUID="A"), a_device("a1", parentUUID="A")
    claim = a_held_claim("c0", "n1", "a0")

    root = the_inventory(a_node_of(*devices, claims=[claim]))
    spent = the_inventory(a_node_of(*devices, claims=[claim]), Supply(blocked={f"{DRIVER}/n1/a1"}))

    assert states(root) == {"g0": "partly", "a0": "held", "a1": "free"}
    assert states(spent) == {"g0": "held", "a0": "held", "a1": "blocked"}
    assert root.counts() == (Count(DRIVER, 1, 0),)


def test_a_device_that_serves_many_is_shared_while_capacity_is_left():
    claims = [a_held_claim(f"c{n}", "n1", "g0", share=10) for n in range(2)]
    snapshot = a_node_of(a_device("g0"), claims=claims)

    def with_memory(gibibytes: int) -> Entry:
        offered = {f"{DRIVER}/n1/g0": {"memory": Fraction(gibibytes << 30)}}
        root = the_inventory(snapshot, Supply(shared=offered))
        return next(entry for entry in root.walk() if entry.place.name == "g0")

    assert (with_memory(80).state, with_memory(80).is_free()) == (State.SHARED, True)
    assert with_memory(80).capacity == (Capacity("memory", Fraction(80 << 30), Fraction(60 << 30)),)
    assert (with_memory(20).state, with_memory(20).is_free()) == (State.HELD, False)


def test_pods_on_device_plugin_nodes_hold_recorded_ordinals_first_and_then_the_lowest():
    pods = [
        a_pod("a", a_spec(gpus=2), node="n1"),
        a_pod("b", a_spec(gpus=1), node="n1", gpu_indices=(1,)),
        a_pod("foreign", a_spec(gpus=1), node="n1", group=None),
    ]

    holders = Holders.of(a_snapshot(nodes=[a_node("n1", gpus=8)], pods=pods), Policy())

    by_ordinal = {key.rsplit("/", 1)[1]: held[0].name for key, held in holders.by_device.items()}
    assert by_ordinal == {"0": "team/a", "1": "team/b", "2": "team/a", "3": "team/foreign"}
    assert holders.used["n1", "nvidia.com/gpu"] == 4


def test_pods_that_share_a_gpu_hold_the_same_ordinal():
    pods = [
        a_pod(name, a_spec(gpus=0), node="n1", gpu_groups=("g",), gpu_indices=indices)
        for name, indices in (("a", (3,)), ("b", ()))
    ]

    holders = Holders.of(a_snapshot(nodes=[a_node("n1", gpus=8)], pods=pods), Policy())

    assert [(key, [held.name for held in each]) for key, each in holders.by_device.items()] == [
        ("nvidia.com/gpu/n1/3", ["team/a", "team/b"])
    ]


def test_pods_that_are_done_hold_nothing():
    done = a_pod("a", a_spec(gpus=2), node="n1", state=PodState.SUCCEEDED)

    assert Holders.of(a_snapshot(nodes=[a_node("n1")], pods=[done]), Policy()).by_device == {}


def test_pruning_keeps_the_way_to_what_is_kept():
    claim = a_held_claim("c0", "n1", "g0")
    root = the_inventory(a_node_of(a_device("g0", numa=0), a_device("g1", numa=1), claims=[claim]))

    assert [each.place.name for each in pruned(root, Entry.is_free).walk()] == ["cluster", "n1", "1", "g1"]


def test_the_picture_has_a_row_a_domain_a_cell_a_node_and_a_letter_a_holder():
    nodes = [a_node(f"n{n}", gpus=2, labels={CLIQUE: f"c{n // 2}"}) for n in range(3)]
    pods = [a_pod("a", a_spec(gpus=2), node="n0"), a_pod("b", a_spec(gpus=1), node="n2")]

    drawn = picture(the_inventory(a_snapshot(nodes=nodes, pods=pods)))

    assert list(drawn.lines()) == ["c0 AA ..", "c1 B.", "A team/a: 2 devices", "B team/b: 1 device"]


def test_the_picture_never_passes_its_width():
    nodes = [a_node(f"n{n:03}", gpus=8, labels={CLIQUE: "a-very-long-name-of-a-clique.0"}) for n in range(40)]

    lines = list(picture(the_inventory(a_snapshot(nodes=nodes))).lines(60))

    assert max(map(len, lines)) <= 60
    assert sum(line.count("........") for line in lines) == 40


def test_a_picture_marks_what_several_hold_and_what_cannot_be_had():
    devices = [a_device(name, root="r") for name in ("g0", "g1", "g2")]
    claims = [a_held_claim("c0", "n1", "g0"), a_held_claim("c1", "n1", "g0")]
    snapshot = a_node_of(*devices, a_device("channel"), claims=claims)

    drawn = picture(the_inventory(snapshot, Supply(blocked={f"{DRIVER}/n1/g1"})))

    assert drawn.rows[0].cells == ("+x.",), "a channel has no place among the GPUs"
    assert State.BLOCKED in {
        entry.state for entry in the_inventory(snapshot, Supply(blocked={f"{DRIVER}/n1/g1"})).walk()
    }
