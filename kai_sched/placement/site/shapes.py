"""Shapes: pending pods that are alike for placement, merged, so that work is per shape and never per pod and node."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kai_sched.devices.allocator import DeviceIndex, PieceNeed, piece_needs
from kai_sched.devices.counting import PlainNeed, plain_requirement
from kai_sched.model.devices import Claim, ClaimSpec
from kai_sched.model.ids import ClaimKey
from kai_sched.model.workloads import Pod, PodSpec
from kai_sched.placement.site.alternatives import offers_alternatives
from kai_sched.placement.site.backing import Backing
from kai_sched.placement.site.custody import NO_TERMS, Custody, Terms
from kai_sched.placement.site.fabrics import Fabric, FabricOf, fabric_of_pod

_UNITS_A_SHAPE: Final = 10


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """One kind of pending pod.

    ``request``: int64[R] in the order of the node table's axis. ``own``: specs of claims that belong to the pod
    alone and are not allocated yet. ``named``: claims that are shared or already allocated, by key.
    ``plain``: one need per own claim where counting decides, None where a search must. ``pieces``: where it must,
    what it searches for as pieces of shared hardware, None where they would not say it exactly.
    """

    index: int
    spec: PodSpec
    request: NDArray[np.int64]
    own: tuple[ClaimSpec, ...]
    named: tuple[ClaimKey, ...]
    plain: tuple[PlainNeed, ...] | None
    pieces: tuple[PieceNeed, ...] | None = None
    fabric: Fabric | None = None
    """The multi-node fabric that its claims join."""
    backed: tuple[str, ...] = ()
    """Extended resources that a device class stands for: nodes without a device plugin serve them by DRA."""
    terms: Terms = NO_TERMS
    """What it must not be given, or only alone or all together."""
    offers_alternatives: bool = False
    """Whether one node may give what it wants first, and another only what it wants less."""
    is_backing_counted: bool = True
    """Whether free devices alone tell how many of these pods such a node takes."""

    @property
    def is_countable(self) -> bool:
        """Whether free amounts alone tell how many pods of this shape a node takes."""
        is_counted = self.plain is not None and self.is_backing_counted
        return is_counted and not self.named and self.spec.gpu_share is None

    @property
    def is_packable(self) -> bool:
        """Whether counts of pods and of pieces, over whole nodes, say all there is to say."""
        countable = self.plain is not None or self.pieces is not None
        return countable and not self.named and self.spec.gpu_share is None and not self.backed


class ShapeTable:
    """Gives every pending pod its shape; equal pods get the same one, in order of first sight."""

    def __init__(
        self,
        axis: tuple[str, ...],
        claims: Mapping[ClaimKey, Claim],
        index: DeviceIndex,
        fabric_of: FabricOf | None = None,
        backing: Backing | None = None,
        custody: Custody | None = None,
    ) -> None:
        self._custody = custody
        self._backing = backing
        self._fabric_of: FabricOf = fabric_of or {}
        self._position = {name: position for position, name in enumerate(axis)}
        self._claims = claims
        self._index = index
        self._canonical: dict[int, PodSpec] = {}
        self._first: dict[PodSpec, PodSpec] = {}
        self._claim_specs: dict[ClaimSpec, ClaimSpec] = {}
        self._claim_spec_of: dict[int, ClaimSpec] = {}
        self._by_key: dict[tuple[int, tuple[int, ...], tuple[ClaimKey, ...], Fabric | None], Shape] = {}
        self.shapes: list[Shape] = []

    def shape_of(self, pod: Pod) -> Shape:
        """The shape of one pod whose claims all exist."""
        spec = self._canonical_spec(pod.spec)
        own: list[ClaimSpec] = []
        named: list[ClaimKey] = []
        own_keys = {ref.claim for ref in pod.claims if ref.is_own}
        for key in pod.claim_keys:
            claim = self._claims[key]
            if key in own_keys and claim.allocation is None:
                own.append(self._canonical_claim(claim.spec))
            else:
                named.append(key)
        fabric = fabric_of_pod(pod, self._fabric_of)
        shape_key = (id(spec), tuple(id(claim_spec) for claim_spec in own), tuple(named), fabric)
        shape = self._by_key.get(shape_key)
        if shape is None:
            claims = [self._claims[key] for key in pod.claim_keys]
            shape = self._new(spec, tuple(own), tuple(named), fabric, claims)
            self._by_key[shape_key] = shape
        return shape

    def _new(
        self,
        spec: PodSpec,
        own: tuple[ClaimSpec, ...],
        named: tuple[ClaimKey, ...],
        fabric: Fabric | None,
        claims: Sequence[Claim],
    ) -> Shape:
        self._index.meter.charge(_UNITS_A_SHAPE + sum(len(one.requests) for one in own))
        request = np.zeros(len(self._position), dtype=np.int64)
        for name, amount in spec.requests:
            request[self._position[name]] = amount
        backed = self._backing.resources_of(spec) if self._backing is not None else ()
        terms = self._terms(spec, claims, backed)
        needs = [plain_requirement(self._index, claim_spec, terms.closure) for claim_spec in own]
        plain = tuple(need for need in needs if need is not None)
        is_plain = len(plain) == len(own)
        shape = Shape(
            index=len(self.shapes),
            spec=spec,
            request=request,
            own=own,
            named=named,
            plain=plain if is_plain else None,
            pieces=None if is_plain else piece_needs(self._index, own, terms.closure),
            fabric=fabric,
            backed=backed,
            terms=terms,
            offers_alternatives=offers_alternatives(claims),
            is_backing_counted=self._backing is None or self._backing.is_counted(backed, terms.closure),
        )
        self.shapes.append(shape)
        return shape

    def _terms(self, spec: PodSpec, claims: Sequence[Claim], backed: Sequence[str]) -> Terms:
        if self._custody is None:
            return NO_TERMS
        return self._custody.terms(
            spec, claims, () if self._backing is None else self._backing.asked(spec, backed)
        )

    def _canonical_spec(self, spec: PodSpec) -> PodSpec:
        # Hashing a spec is deep work; identity tells the common case at once.
        found = self._canonical.get(id(spec))
        if found is None:
            found = self._first.setdefault(spec, spec)
            self._canonical[id(spec)] = found
        return found

    def _canonical_claim(self, spec: ClaimSpec) -> ClaimSpec:
        found = self._claim_spec_of.get(id(spec))
        if found is None:
            found = self._claim_specs.setdefault(spec, spec)
            self._claim_spec_of[id(spec)] = found
        return found


def resource_names(pods: Iterable[Pod]) -> tuple[str, ...]:
    """Every resource that some pod asks for, sorted: the node table's axis must hold them all."""
    specs = {id(pod.spec): pod.spec for pod in pods}
    return tuple(sorted({name for spec in specs.values() for name, _ in spec.requests}))
