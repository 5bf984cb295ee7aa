"""All hostile worlds, in the order in which they are run."""

from __future__ import annotations

from typing import Final

from tests.hostile import claims, groups, pods
from tests.hostile.world import World

WORLDS: Final[tuple[World, ...]] = (*pods.SHELF.worlds, *groups.SHELF.worlds, *claims.SHELF.worlds)

_AFTER_THE_CYCLE: Final = (
    "a cycle binds when it has told what waiting gangs may hope for; who comes meanwhile waits for its end, and for "
    "that of the next one"
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
    _AFTER_THE_CYCLE,
)
"""Worlds beside which a bystander was once seen to wait two seconds or more, on a busy machine, and the likely cause.

Measured before ``Policy.advice_units`` bounded that cause, and not since."""
