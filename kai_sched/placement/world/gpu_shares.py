"""Shared GPUs of device-plugin nodes: which groups hold which part of a whole GPU.

A group (KAI label ``runai-gpu-group``) always holds one whole GPU of its node; its pods take parts of that GPU's
memory, as exact fractions of one.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction

from kai_sched.model.nodes import Node
from kai_sched.model.policy import Strategy
from kai_sched.model.workloads import GpuShare

Group = tuple[int, str]
"""(node index, name)"""


def portion_of(share: GpuShare, node: Node) -> Fraction | None:
    """The part of one GPU of this node that a share takes; None where the node cannot serve it."""
    if share.portion_micros:
        return Fraction(share.portion_micros, 10**6)
    if node.gpu_memory_mib <= 0 or share.memory_mib > node.gpu_memory_mib:
        return None
    return Fraction(share.memory_mib, node.gpu_memory_mib)


@dataclass(frozen=True, slots=True)
class ShareChoice:
    """Groups a pod joins on one node, ``opened`` of them new (each takes a whole GPU)."""

    groups: tuple[str, ...]
    opened: int
    portion: Fraction


class GpuShares:
    """Used portions by node index and group name. Changed in place by its owner, forked by copy.

    ``reserved``: groups that keep their GPU though no pod has a part of it, with how many reservation pods hold it.
    """

    __slots__ = ("_promised", "_reserved", "used")

    def __init__(
        self,
        used: Mapping[int, Mapping[str, Fraction]] | None = None,
        reserved: Mapping[Group, int] | None = None,
    ) -> None:
        self.used: dict[int, dict[str, Fraction]] = {
            node: dict(groups) for node, groups in (used or {}).items()
        }
        self._reserved: Mapping[Group, int] = reserved or {}
        self._promised: set[Group] = set()
        for node, name in self._reserved:
            self.used.setdefault(node, {}).setdefault(name, Fraction(0))

    def fork(self) -> GpuShares:
        copy = GpuShares(self.used, self._reserved)
        copy._promised = self._promised.copy()
        return copy

    def unreserve(self, index: int, name: str) -> int:
        """A reservation pod goes; returns 1 if the group's pods now hold the GPU themselves, else 0."""
        left = self._reserved[index, name] - 1
        self._reserved = {**self._reserved, (index, name): left}
        if left:
            return 0
        self._reserved = {group: count for group, count in self._reserved.items() if count}
        if self.used[index].get(name):
            return 1
        self.used[index].pop(name, None)
        self._promised.discard((index, name))
        return 0

    def reserve(self, index: int, name: str) -> int:
        """A reservation pod is there again; returns 1 if the group's pods had held the GPU themselves, else 0."""
        count = self._reserved.get((index, name), 0)
        self._reserved = {**self._reserved, (index, name): count + 1}
        groups = self.used.setdefault(index, {})
        had = not count and name in groups
        groups.setdefault(name, Fraction(0))
        return int(had)

    def groups_on(self, node: int) -> Mapping[str, Fraction]:
        return self.used.get(node, {})

    def open_groups(self, index: int, portion: Fraction) -> list[str]:
        """Groups of a node that have so much left."""
        groups = self.groups_on(index).items()
        return [name for name, used in groups if used + portion <= 1 and (index, name) not in self._promised]

    def choose(
        self,
        share: GpuShare,
        node: Node,
        index: int,
        free_gpus: int,
        strategy: Strategy,
        closed: Collection[str] = (),
    ) -> ShareChoice | None:
        """The GPUs that a pod takes parts of; None where it does not fit. It joins none of the ``closed`` groups.

        Binpack fills the fullest GPUs that fit, so that others stay whole; spread takes whole GPUs first, then the
        emptiest.
        """
        portion = portion_of(share, node)
        if portion is None:
            return None
        groups = self.groups_on(index)
        fitting = [name for name in self.open_groups(index, portion) if name not in closed]
        if strategy is Strategy.SPREAD:
            fitting.sort(key=lambda name: (groups[name], name))
            fitting = fitting[: share.devices - min(share.devices, max(0, free_gpus))]
        else:
            fitting.sort(key=lambda name: (-groups[name], name))
            fitting = fitting[: share.devices]
        opened = share.devices - len(fitting)
        if opened > free_gpus:
            return None
        return ShareChoice((*fitting, *_new_names(node, groups, opened)), opened, portion)

    def take(self, index: int, choice: ShareChoice, *, is_promise: bool = False) -> int:
        """Give a pod its parts; returns how many groups are new here, each of which takes a whole GPU.

        ``is_promise``: the GPUs of new groups are still another's, so nobody may join them yet.
        """
        groups = self.used.setdefault(index, {})
        fresh = [name for name in choice.groups if name not in groups]
        for name in choice.groups:
            groups[name] = groups.get(name, Fraction(0)) + choice.portion
        if is_promise:
            self._promised.update((index, name) for name in fresh)
        return len(fresh)

    def give_back(self, index: int, choice: ShareChoice) -> int:
        """Take them back; returns how many groups ended here with it."""
        groups = self.used[index]
        ended = 0
        for name in choice.groups:
            groups[name] -= choice.portion
            if not groups[name] and (index, name) not in self._reserved:
                del groups[name]
                self._promised.discard((index, name))
                ended += 1
        return ended


def _new_names(node: Node, taken: Mapping[str, Fraction], count: int) -> Iterator[str]:
    names = (f"{node.name}-share-{serial}" for serial in itertools.count())
    return itertools.islice((name for name in names if name not in taken), count)


def held_groups(
    holders: Iterable[tuple[int, Node, GpuShare, tuple[str, ...]]], reserved: Mapping[Group, int]
) -> GpuShares:
    """Shares of pods that hold room already: (node index, node, share, groups)."""
    shares = GpuShares(reserved=reserved)
    for index, node, share, groups in holders:
        portion = portion_of(share, node) or Fraction(1)
        shares.take(index, ShareChoice(groups, 0, portion))
    return shares
