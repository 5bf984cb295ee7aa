"""What the shell needs of an API server, as protocols, so that a test can script it line by line."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from kai_sched.api.kinds import Kind
from kai_sched.api.membership import Membership
from kai_sched.model.ids import PodKey
from kai_sched.model.workloads import PodGroup

Document = dict[str, Any]
"""An object as the API server sends it; kept raw until ``api`` translates it, so that no field is lost."""


JSON: Final = "application/json"
METADATA_LIST: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
"""Accept header of lists that need names, labels and owners only."""
METADATA: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
"""Accept header of watches that need names, labels and owners only."""


@dataclass(frozen=True, slots=True)
class ListPage:
    """One page of a list. ``resource_version`` is that of the whole list, the same on every page."""

    items: list[Document]
    resource_version: str
    is_last: bool


class WatchTransport(Protocol):
    """Lists and watches of one API server. Raises ``ApiFailure``."""

    def list_pages(
        self, path: str, *, limit: int = 500, params: Mapping[str, str] | None = None, accept: str = JSON
    ) -> AsyncGenerator[ListPage]:
        """The pages of a consistent list."""
        ...

    def watch_lines(
        self,
        path: str,
        *,
        resource_version: str,
        timeout_seconds: int,
        params: Mapping[str, str] | None = None,
        accept: str = JSON,
    ) -> AsyncGenerator[list[bytes]]:
        """Batches of whole lines, as many as have arrived; ends when the server closes the stream."""
        ...


class PodGrouper(Protocol):
    """Tells which pods belong together where they do not say so themselves; above this layer, so passed in."""

    @property
    def version(self) -> int:
        """Moves whenever ``groups`` or ``alone`` could answer differently."""
        ...

    @property
    def kinds(self) -> Collection[Kind]:
        """The kinds of owners it wants to see."""
        ...

    def pod_seen(self, document: Document) -> Membership | None:
        """Where a pod of ours that names no pod group belongs; None: it is alone.

        Raises:
            ValueError: the pod has no name.
        """
        ...

    def pod_gone(self, key: PodKey) -> None:
        """The pod is no more, or names its group itself now."""
        ...

    def owner_seen(
        self, kind: Kind, key: str, document: Document | None
    ) -> Iterable[tuple[PodKey, Membership | None]]:
        """An owner came, changed or (None) went; the pods that belong elsewhere for it. None: they are alone."""
        ...

    def groups(self) -> Sequence[PodGroup]:
        """The groups of workloads whose PodGroup object does not exist yet."""
        ...

    def alone(self) -> Sequence[PodGroup]:
        """The groups of single pods, each under the pod's own key."""
        ...
