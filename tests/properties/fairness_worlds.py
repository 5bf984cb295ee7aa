"""Random queue trees, what their leaves use and want, and jobs that wait in them."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

from kai_sched.fairness.ordering import Fill, JobInQueue
from kai_sched.fairness.shares import LeafUsage, divide_capacity
from kai_sched.fairness.tree import QueueTree
from kai_sched.model.queues import UNLIMITED, Queue, QueueResource, QuotaVector


@dataclass(frozen=True, kw_only=True)
class World:
    """A quota tree, what its leaves use and want, and the size of the cluster."""

    queues: tuple[Queue, ...]
    usage: dict[str, LeafUsage]
    total: QuotaVector
    k_value: float = 1.0
    history: dict[str, QuotaVector] | None = None

    @property
    def tree(self) -> QueueTree:
        return QueueTree.build(self.queues)

    def shares(self):
        return divide_capacity(self.tree, self.usage, self.total, self.k_value, self.history or {})


FREE = QueueResource(UNLIMITED, 1.0, UNLIMITED)
FORBIDDEN = QueueResource()


def amounts(most):
    """Whole and fractional amounts."""
    return st.sampled_from([0.0, 1.0, 2.0, 3.0, 0.4, 0.75, 2.01, 5.0, 7.0, float(most), most - 0.35])


def quotas(most):
    """Deserved, weight and limit that do not contradict each other."""
    return st.builds(
        lambda deserved, weight, extra: QueueResource(
            deserved, weight, UNLIMITED if extra is None else max(deserved, 0.0) + extra
        ),
        st.one_of(st.just(UNLIMITED), amounts(most)),
        st.sampled_from([0.0, 0.5, 1.0, 1.0, 2.0, 7.0]),
        st.one_of(st.none(), amounts(most)),
    )


@st.composite
def trees(draw, most_queues, most):
    """Valid queue trees of up to three levels."""
    queues: list[Queue] = []
    depth: dict[str, int] = {}
    for index in range(draw(st.integers(1, most_queues))):
        above = [None, *(queue.name for queue in queues if depth[queue.name] < 2)]
        parent = draw(st.sampled_from(above))
        name = f"q{index}"
        depth[name] = depth[parent] + 1 if parent else 0
        gpu = draw(quotas(most))
        others = st.sampled_from([gpu, gpu, FREE, FORBIDDEN, QueueResource(2.0, 1.0, UNLIMITED)])
        queues.append(
            Queue(
                name=name,
                uid=f"uid-{draw(st.integers(0, 9))}-{index}",
                parent=parent,
                priority=draw(st.sampled_from([100, 100, 50, 200])),
                created_at=float(draw(st.integers(0, 1))),
                gpu=gpu,
                cpu=draw(others),
                memory=draw(others),
            )
        )
    return tuple(queues)


@st.composite
def worlds(draw, most_queues=7, scales=(12, 12, 300)):
    """Worlds whose leaves want about as much as there is, small ones where units matter and large ones."""
    most = draw(st.sampled_from(scales))
    queues = draw(trees(most_queues, most))
    vectors = st.builds(QuotaVector, amounts(most), amounts(most), amounts(most))
    usage = {}
    for name in sorted(QueueTree.build(queues).leaves):
        held = draw(vectors)
        part = draw(st.sampled_from([0.0, 0.5, 1.0]))
        fixed = QuotaVector(held.gpu * part, held.cpu * part, held.memory * part)
        usage[name] = LeafUsage(allocated=held, allocated_non_preemptible=fixed, pending=draw(vectors))
    fades = draw(st.booleans())
    return World(
        queues=queues,
        usage=usage,
        total=draw(st.builds(QuotaVector, amounts(most), amounts(2 * most), amounts(3 * most))),
        k_value=draw(st.sampled_from([0.0, 1.0, 2.5])),
        history={queue.name: draw(st.sampled_from(PAST)) for queue in queues} if fades else None,
    )


@st.composite
def rivals(draw):
    """Siblings without quota or limit that together want far more than there is: where weight and priority decide."""
    free = QueueResource(0.0, 1.0, UNLIMITED)
    queues = tuple(
        Queue(
            name=f"q{index}",
            uid=f"uid-{draw(st.integers(0, 9))}-{index}",
            priority=draw(st.sampled_from([100, 100, 200])),
            created_at=float(draw(st.integers(0, 1))),
            gpu=QueueResource(0.0, draw(st.sampled_from([1.0, 1.0, 2.0, 7.0])), UNLIMITED),
            cpu=free,
            memory=free,
        )
        for index in range(draw(st.integers(2, 4)))
    )
    pending = QuotaVector(200, 200, 200)
    return World(
        queues=queues,
        usage={queue.name: LeafUsage(pending=pending) for queue in queues},
        total=QuotaVector(float(draw(st.integers(1, 200))), 7.0, 90.0),
        k_value=draw(st.sampled_from([0.0, 1.0])),
    )


PAST = [QuotaVector(), QuotaVector(0.1, 0.1, 0.6), QuotaVector(0.6, 0.0, 0.2)]


@st.composite
def jobs_for(draw, world: World, most=10):
    """Jobs in the leaves of a world, many of them alike."""
    leaves = sorted(world.tree.leaves)
    sizes = [
        QuotaVector(gpu=1.0),
        QuotaVector(gpu=1.0),
        QuotaVector(gpu=0.5, cpu=1.0),
        QuotaVector(3, 2, 1),
        QuotaVector(),
    ]
    jobs: dict[str, list[JobInQueue]] = {}
    for index in range(draw(st.integers(1, most))):
        queue = draw(st.sampled_from(leaves))
        jobs.setdefault(queue, []).append(
            JobInQueue(
                group=f"ns/j{index}",
                queue=queue,
                priority=draw(st.sampled_from([50, 50, 50, 125])),
                created_at=float(draw(st.integers(0, 1))),
                uid=f"{draw(st.integers(0, 9))}-{index}",
                request=draw(st.sampled_from(sizes)),
                fill=draw(st.sampled_from([Fill.BELOW_MIN, Fill.BELOW_MIN, Fill.AT_MIN, Fill.ABOVE_MIN])),
                signature=draw(st.sampled_from(["s", "s", "s", "t", None])),
            )
        )
    return jobs
