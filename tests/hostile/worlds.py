"""All hostile worlds, in the order in which they are run."""

from __future__ import annotations

from typing import Final

from tests.hostile import claims, groups, pods
from tests.hostile.world import World

WORLDS: Final[tuple[World, ...]] = (*pods.SHELF.worlds, *groups.SHELF.worlds, *claims.SHELF.worlds)

_UNTIL_ITS_DEADLINE: Final = (
    "a cycle looks for better plans and for advice until its deadline of five seconds, and binds only then; "
    "who comes meanwhile waits for its end, and for that of the next one"
)
KNOWN: Final[dict[str, str]] = dict.fromkeys(
    (
        "shapes-that-fit",
        "shapes-too-large",
        "anti-affinity-terms",
        "preferred-affinity-terms",
        "spread-constraints",
        "tolerations",
        "thousands-of-node-selectors",
        "five-hundred-containers",
        "hundreds-of-host-ports",
        "volumes-that-do-not-exist",
        "priority-by-label",
        "pods-of-groups-that-do-not-exist",
        "owners-that-own-each-other",
        "flat-subgroups",
        "subgroups-sixteen-deep",
    ),
    _UNTIL_ITS_DEADLINE,
)
"""Worlds beside which a bystander was seen to wait two seconds or more on a control plane, and why."""
