"""Parts of GPUs by claims that pods name together: the book, packing, lost races, dry runs, and what is deleted."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kai_sched.api.keys import SHARE, SHARE_TICKET
from kai_sched.api.share_book import Booking
from kai_sched.errors import KaiSchedError
from kai_sched.model.devices import Device
from kai_sched.model.workloads import GpuShare
from kai_sched.webhook.book import Clerk, Roll, SharedClaim
from kai_sched.webhook.realise import SharedClaims, Templates
from kai_sched.webhook.reaper import Reaper
from kai_sched.webhook.review import Reviewer
from kai_sched.webhook.share import Given, Sharing, part_of
from tests.documents import a_pod_document
from tests.unit.webhook.clusters import GIB, Cluster, a_device, patched

GRACE = 60.0
HALF, QUARTER = GpuShare(portion_micros=500_000), GpuShare(portion_micros=250_000)
MPS, SLICES = ("gpu.example.com", '{"sharing":"MPS"}'), ("gpu.example.com", '{"sharing":"TimeSlicing"}')
SHARING = Sharing(device_class="gpu", mps=MPS, time_slicing=SLICES)


class Town(Cluster):
    """A cluster with shared claims, a clock, and pods that are created after they were admitted."""

    def __init__(self, *devices: Device) -> None:
        super().__init__(*(devices or (a_device(),)))
        self.now = 1000.0
        self.desk = self.a_desk()

    def a_desk(self) -> SharedClaims:
        """A replica of the webhook, or one that was started again."""
        return SharedClaims(self, SHARING, GRACE, lambda: self.now)

    async def admit(self, share: GpuShare, desk: SharedClaims | None = None, *, dry: bool = False) -> Given:
        return await (desk or self.desk).give(share, "team", is_dry_run=dry)

    async def create(self, name: str, share: GpuShare, desk: SharedClaims | None = None) -> str:
        """A pod that is admitted and created; the claim that it got."""
        given_ = await self.admit(share, desk)
        self.pods.append(a_sharing_pod(name, given_))
        return given_.name

    def end(self, name: str, phase: str = "") -> None:
        """The pod is gone, or came to its end."""
        (pod,) = [one for one in self.pods if one["metadata"]["name"] == name]
        if phase:
            pod["status"]["phase"] = phase
        else:
            self.pods.remove(pod)

    def later(self, seconds: float = GRACE + 1) -> None:
        self.now += seconds

    async def reap(self) -> None:
        await Reaper(self, GRACE, lambda: self.now).reap()


def a_sharing_pod(name: str, given_: Given) -> Any:
    return a_pod_document(
        name,
        labels={SHARE: given_.name},
        annotations={SHARE_TICKET: given_.ticket},
        status={"phase": "Running"},
    )


def a_shared_claim(name: str, *parts: int, **more: Any) -> SharedClaim:
    book = {f"{name}-{index}": Booking(part, 0.0) for index, part in enumerate(parts)}
    return SharedClaim(
        namespace="team", name=name, uid=name, resource_version="1", shape="s", book=book, **more
    )


def a_clerk(*claims: SharedClaim) -> Clerk:
    """All tickets of these claims are those of living pods."""
    living = frozenset(ticket for claim in claims for ticket in claim.book)
    return Clerk(Roll(living=living), now=1e6, grace_seconds=GRACE)


def chosen(part: int, *claims: SharedClaim) -> str | None:
    claim = a_clerk(*claims).choose(claims, "s", part)
    return None if claim is None else claim.name


def test_the_fullest_claim_that_has_room_is_taken() -> None:
    claims = (a_shared_claim("a", 250), a_shared_claim("b", 600), a_shared_claim("c", 900))

    assert chosen(250, *claims) == "b"
    assert chosen(100, *claims) == "c"
    assert chosen(700, *claims) == "a"
    assert chosen(800, *claims) is None


def test_claims_of_another_shape_or_on_their_way_out_or_full_of_consumers_are_not_taken() -> None:
    crowd = a_shared_claim("c", *[1] * 256)
    assert a_clerk().choose([a_shared_claim("a")], "other", 1) is None
    assert chosen(1, a_shared_claim("a", is_deleting=True)) is None
    assert chosen(1, crowd) is None
    assert chosen(1, a_shared_claim("a", 1, consumers=256)) is None
    assert chosen(1, a_shared_claim("a", *[1] * 255, consumers=255)) == "a"


@settings(max_examples=settings.default.max_examples * 3 // 4)
@given(
    st.lists(
        st.one_of(st.integers(1, 1000), st.tuples(st.just("end"), st.integers(0, 30))),
        min_size=1,
        max_size=40,
    )
)
def test_whatever_comes_and_goes_no_device_is_given_out_twice(steps: list[Any]) -> None:
    async def play() -> None:
        town = Town()
        alive: dict[str, int] = {}
        for index, step in enumerate(steps):
            if isinstance(step, tuple):
                if alive:
                    name = sorted(alive)[step[1] % len(alive)]
                    town.end(name)
                    del alive[name]
                    town.later()
                    await town.reap()
            else:
                await town.create(f"p{index}", GpuShare(portion_micros=step * 1000))
                alive[f"p{index}"] = step
            used: Counter[str] = Counter()
            for pod in town.pods:
                used[pod["metadata"]["labels"][SHARE]] += alive[pod["metadata"]["name"]]
            assert max(used.values(), default=0) <= 1000
            assert used.keys() <= town.shared.keys()

    asyncio.run(play())


async def test_four_halves_lie_on_two_claims_and_a_quarter_on_a_third() -> None:
    town = Town()

    names = [await town.create(f"p{index}", HALF) for index in range(4)]
    fifth = await town.create("p4", QUARTER)

    assert sorted(Counter(names).values()) == [2, 2]
    assert fifth not in names


async def test_the_part_of_a_pod_that_is_gone_is_free_at_once_for_the_replica_that_saw_it() -> None:
    town = Town()
    first = await town.create("a", HALF)
    assert await town.create("b", HALF) == first
    town.end("a")

    assert await town.create("c", HALF) == first


async def test_the_part_of_a_pod_that_ended_is_free_although_it_is_still_there() -> None:
    town = Town()
    first = await town.create("a", GpuShare(portion_micros=900_000))
    town.end("a", "Succeeded")

    assert await town.create("b", GpuShare(portion_micros=900_000)) == first


async def test_a_part_whose_pod_is_still_being_admitted_is_taken_for_the_grace_period_only() -> None:
    town = Town()
    first = (await town.admit(HALF)).name
    assert (await town.admit(HALF)).name == first

    assert (await town.admit(HALF)).name != first
    town.later()

    assert (await town.admit(HALF)).name in town.shared
    assert len(town.shared) == 2


async def test_a_replica_that_starts_again_reads_back_who_has_what() -> None:
    town = Town()
    first = await town.create("a", HALF)
    town.later()

    again = town.a_desk()

    assert await town.create("b", HALF, again) == first
    assert await town.create("c", QUARTER, again) != first


async def test_two_replicas_at_once_never_give_the_same_part() -> None:
    town = Town()
    first = await town.create("a", HALF)
    others = town.a_desk()

    async def beside() -> None:
        await town.create("b", HALF, others)

    # The other replica books between our reading and our writing.
    given_: list[Given] = []
    waiting: list[asyncio.Task[None]] = []
    original = town.rebook

    async def rebook(claim: SharedClaim, book: Any) -> SharedClaim | None:
        if not waiting:
            waiting.append(asyncio.create_task(beside()))
            await waiting[0]
        return await original(claim, book)

    town.rebook = rebook  # type: ignore[method-assign]
    given_.append(await town.admit(HALF))

    assert town.pods[1]["metadata"]["labels"][SHARE] == first
    assert given_[0].name != first


async def test_pods_that_come_at_once_are_packed_and_read_the_namespace_once_or_twice() -> None:
    town = Town()

    given_ = await asyncio.gather(*(town.admit(QUARTER) for _ in range(40)))

    assert sorted(Counter(one.name for one in given_).values()) == [4] * 10
    assert len({one.ticket for one in given_}) == 40
    assert town.readings <= 2


async def test_a_claim_that_keeps_changing_is_given_up() -> None:
    town = Town()
    first = await town.create("a", QUARTER)
    town.lose = [lambda: town.change(first)] * 8

    with pytest.raises(KaiSchedError, match="kept changing"):
        await town.admit(QUARTER)


async def test_a_dry_run_writes_nothing() -> None:
    town = Town()

    fresh = await town.admit(HALF, dry=True)
    assert town.shared == {}
    assert fresh.name.startswith("gpu-share-")
    first = await town.create("a", HALF)
    before = dict(town.shared)

    assert (await town.admit(HALF, dry=True)).name == first
    assert town.shared == before


async def test_pods_with_another_configuration_or_number_of_devices_do_not_share() -> None:
    town = Town()
    shares = (
        QUARTER,
        GpuShare(portion_micros=250_000, mps=True),
        GpuShare(portion_micros=250_000, devices=2),
    )

    names = [await town.create(f"p{index}", share) for index, share in enumerate(shares)]

    assert len(set(names)) == 3
    devices = [town.documents[name]["spec"]["devices"] for name in names]
    assert [one["config"][0]["opaque"]["parameters"]["sharing"] for one in devices] == [
        "TimeSlicing",
        "MPS",
        "TimeSlicing",
    ]
    assert [one["requests"][0]["exactly"]["count"] for one in devices] == [1, 1, 2]
    assert all("capacity" not in one["requests"][0]["exactly"] for one in devices)


def test_an_amount_is_a_part_of_the_smallest_device_rounded_up() -> None:
    assert part_of(GpuShare(memory_mib=30 * 1024), 40 * GIB) == 750
    assert part_of(GpuShare(memory_mib=1), 40 * GIB) == 1
    assert part_of(GpuShare(memory_mib=1), 0) == 0
    assert part_of(HALF, 0) == 500


@pytest.mark.parametrize(
    ("devices", "share", "reason"),
    [
        ((a_device(is_shareable=True), a_device()), HALF, "need consumable capacity"),
        ((a_device(40 * GIB), a_device()), GpuShare(memory_mib=50 * 1024), "smallest device"),
        ((a_device(0),), GpuShare(memory_mib=1), "says how much memory"),
    ],
)
async def test_what_cannot_be_shared_is_told(
    devices: tuple[Device, ...], share: GpuShare, reason: str
) -> None:
    with pytest.raises(KaiSchedError, match=reason):
        await Town(*devices).admit(share)


async def test_without_a_device_of_the_class_the_pod_is_left_as_it_is() -> None:
    town = Cluster()
    reviewer = Reviewer("kai-scheduler", SharedClaims(town, SHARING, GRACE, lambda: 0.0))
    pod = a_pod_document(annotations={"gpu-fraction": "0.5"})

    answer = await reviewer.answer({"request": {"uid": "u", "namespace": "team", "object": pod}})

    assert "patch" not in answer["response"]
    assert "no device of class gpu" in answer["response"]["warnings"][0]


async def test_the_pod_names_the_claim_and_its_ticket() -> None:
    town = Town()
    reviewer = Reviewer("kai-scheduler", town.desk)
    pod = a_pod_document(annotations={"gpu-fraction": "0.5"})

    answer = await reviewer.answer({"request": {"uid": "u", "namespace": "team", "object": pod}})

    after = patched(pod, answer["response"])
    (claim,) = town.shared.values()
    assert after["spec"]["resourceClaims"] == [{"name": "gpu-share", "resourceClaimName": claim.name}]
    assert after["spec"]["containers"][0]["resources"]["claims"] == [{"name": "gpu-share"}]
    assert after["metadata"]["labels"][SHARE] == claim.name
    assert claim.book == {after["metadata"]["annotations"][SHARE_TICKET]: Booking(500, 1000.0)}


async def test_claims_without_living_users_are_deleted_and_books_are_cleared() -> None:
    town = Town()
    both, alone = await town.create("a", HALF), await town.create("b", GpuShare(portion_micros=900_000))
    assert await town.create("c", HALF) == both
    town.end("a")
    town.end("b")
    town.later()

    await town.reap()

    assert town.shared.keys() == {both}
    assert alone != both
    assert len(town.shared[both].book) == 1


async def test_claims_that_are_held_or_named_or_just_booked_are_not_deleted() -> None:
    town = Town()
    name = await town.create("a", HALF)
    town.end("a")

    await town.reap()
    assert name in town.shared
    town.later()
    town.change(name, consumers=1)
    await town.reap()
    assert name in town.shared
    town.change(name, consumers=0)
    await town.reap()

    assert town.shared == {}


async def test_a_claim_that_is_booked_while_it_is_judged_stays() -> None:
    town = Town()
    name = await town.create("a", HALF)
    town.end("a")
    town.later()
    roll = town.roll

    async def booked_meanwhile(namespace: str = "") -> Roll:
        found = await roll(namespace)
        town.change(name, book={"new": Booking(500, town.now)})
        return found

    town.roll = booked_meanwhile  # type: ignore[method-assign]

    await town.reap()

    assert town.shared[name].book.keys() == {"new"}


async def test_a_template_is_marked_as_used_again_before_it_looks_unused() -> None:
    town = Cluster(a_device(is_shareable=True))
    now = [1000.0]
    templates = Templates(town, SHARING, GRACE, lambda: now[0])

    for _ in range(10):
        await templates.give(HALF, "team", is_dry_run=False)
        now[0] += 5.0

    assert 1 < len(town.made) < 10
    assert max(town.used.values()) >= now[0] - GRACE / 2


@pytest.mark.parametrize(
    ("last_used", "is_named", "is_unused"),
    [(0.0, False, True), (0.0, True, False), (950.0, False, False)],
    ids=["unused", "named by a pod", "given a moment ago"],
)
def test_templates_that_no_living_pod_names_are_unused_after_the_grace_period(
    last_used: float, is_named: bool, is_unused: bool
) -> None:
    roll = Roll.of([a_pod_document(labels={SHARE: "t"})] if is_named else [])
    clerk = Clerk(roll, 1000.0, GRACE)

    document = {"metadata": {"name": "t", "namespace": "team"}}

    assert clerk.is_unused_template(document, last_used) is is_unused
