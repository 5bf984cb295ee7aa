"""All hostile worlds, in the order in which they are run."""

from __future__ import annotations

from typing import Final

from tests.hostile import claims, groups, pods
from tests.hostile.world import World

WORLDS: Final[tuple[World, ...]] = (*pods.SHELF.worlds, *groups.SHELF.worlds, *claims.SHELF.worlds)
