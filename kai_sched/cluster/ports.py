"""What the shell needs of an API server, as protocols, so that a test can script it line by line."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

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
