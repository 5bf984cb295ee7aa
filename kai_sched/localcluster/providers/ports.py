"""What a provider of named clusters does, and what is remembered of a cluster it made."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from kai_sched.errors import ControlPlaneError

Document = dict[str, Any]


class ProviderName(StrEnum):
    """Values of ``--provider``."""

    LOCAL = "local"
    KIND = "kind"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """The cluster that somebody wants."""

    name: str
    folder: Path
    """Where it may keep its files; there already, and empty."""
    crds: Path | None = None
    objects: Sequence[Document] = ()
    on_progress: Callable[[str], None] = lambda _text: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A cluster that was made."""

    name: str
    provider: ProviderName
    folder: Path
    kubeconfig: Path
    url: str


class Provider(Protocol):
    """Makes clusters and removes them."""

    def up(self, wish: Wish) -> Record:
        """Returns when the cluster is ready. Raises ``ControlPlaneError``, leaving nothing running."""
        ...

    def down(self, folder: Path, name: str) -> None:
        """Ends what runs of a cluster, also one that never became ready."""
        ...

    def parts(self, record: Record) -> dict[str, bool]:
        """Every part of the cluster and whether it runs."""
        ...


def save(record: Record) -> None:
    """Remembers a cluster in its folder."""
    plain = {key: str(value) for key, value in asdict(record).items()}
    (record.folder / "cluster.json").write_text(json.dumps(plain, indent=2) + "\n")


def load(folder: Path) -> Record | None:
    """The cluster of a folder; None where none became ready."""
    file = folder / "cluster.json"
    if not file.is_file():
        return None
    try:
        plain = json.loads(file.read_text())
        return Record(
            name=plain["name"],
            provider=ProviderName(plain["provider"]),
            folder=folder,
            kubeconfig=Path(plain["kubeconfig"]),
            url=plain["url"],
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ControlPlaneError(f"{file} is damaged ({error}): remove the folder") from error
