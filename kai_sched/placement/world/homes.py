"""Homes: where the gangs of a network fabric live already, and who follows them there."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from kai_sched.placement.site.fabrics import Fabric


@dataclass(slots=True)
class Homes:
    """Where each fabric lives.

    ``codes``: the clique of each node, -1 without one. ``marks``: nodes that a driver has marked as one fabric's, with
    that fabric's name.
    """

    codes: NDArray[np.int32]
    marks: tuple[tuple[int, str], ...] = ()
    pods: dict[Fabric, dict[int, int]] = field(default_factory=dict)
    """Fabric -> pods in each clique."""

    def fork(self) -> Homes:
        return Homes(self.codes, self.marks, {fabric: dict(count) for fabric, count in self.pods.items()})

    def change(self, fabric: Fabric, node: int, sign: int) -> None:
        """A pod of the fabric comes to a node (+1) or goes (-1)."""
        counts = self.pods.setdefault(fabric, {})
        code = int(self.codes[node])
        counts[code] = counts.get(code, 0) + sign

    def cliques(self, fabric: Fabric) -> list[int]:
        """Codes of the cliques it is in; more than one only where it was spread before we came."""
        return sorted(code for code, pods in self.pods.get(fabric, {}).items() if pods)

    def mask(self, fabric: Fabric) -> NDArray[np.bool_]:
        """bool[N]: nodes that a further pod of the fabric may use."""
        present = self.cliques(fabric)
        mask = np.isin(self.codes, [code for code in present if code >= 0]) if present else self.codes >= 0
        for node, name in self.marks:
            if f'"{name}"' not in fabric[1]:
                mask[node] = False
        return mask
