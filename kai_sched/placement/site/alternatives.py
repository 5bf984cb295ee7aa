"""Alternatives of requests (``firstAvailable``): how far down its list a seat had to go.

kube-scheduler scores a node by 8 less the index of the alternative chosen, summed over requests; with the same
requests everywhere, the least sum of indices is the best node.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kai_sched.model.devices import Claim, ClaimAllocation
from kai_sched.model.ids import ClaimKey


def offers_alternatives(claims: Iterable[Claim]) -> bool:
    """Whether any claim that waits for its devices would take one thing or another."""
    return any(
        len(request.first_available) > 1
        for claim in claims
        if claim.allocation is None
        for request in claim.spec.requests
    )


def concession_of(
    allocations: Iterable[tuple[ClaimKey, ClaimAllocation]], claims: Mapping[ClaimKey, Claim]
) -> int:
    """Sum of the indices of the alternatives taken; 0: everything that was wanted first."""
    total = 0
    for key, allocation in allocations:
        claim = claims.get(key)
        if claim is None:
            continue
        place = {
            f"{request.name}/{choice.name}": index
            for request in claim.spec.requests
            for index, choice in enumerate(request.first_available)
        }
        total += sum(place.get(name, 0) for name in {result.request for result in allocation.results})
    return total
