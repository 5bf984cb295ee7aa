"""SpecInterner: pods that ask for the same share one ``PodSpec``, so that a new pod costs a lookup.

The lookup key is the JSON of exactly those parts of the pod that decide where it may run, kept as a digest: its text
is foreign and long. Labels are a second step, because thousands of pods of one job differ in nothing but an index label.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from hashlib import blake2b
from operator import attrgetter
from typing import Final

from kai_sched.api.translate.fields import Labels
from kai_sched.model.workloads import PodSpec

_without_labels = attrgetter(*(item.name for item in fields(PodSpec) if item.name != "labels"))

_DIGEST_BYTES: Final = 20


class SpecInterner:
    """Owned by one reader of pods; not shared between threads."""

    __slots__ = ("_bare", "_labelled", "_pairs", "_texts", "text_bytes")

    def __init__(self) -> None:
        self._bare: dict[bytes, PodSpec] = {}
        self._labelled: dict[tuple[int, Labels], PodSpec] = {}
        self._pairs: dict[tuple[str, str], tuple[str, str]] = {}
        self._texts: dict[str, str] = {}
        self.text_bytes = 0
        """Text that specs were made from since ``keep_only`` was called: those of pods that are gone stay until then."""

    def spec(self, key: bytes, labels: Labels, build: Callable[[], PodSpec]) -> PodSpec:
        """The spec of this key and these labels; ``build`` is called for a key never seen."""
        digest = blake2b(key, digest_size=_DIGEST_BYTES).digest()
        bare = self._bare.get(digest)
        if bare is None:
            bare = self._bare[digest] = build()
            self.text_bytes += len(key)
        known = self._labelled.get((id(bare), labels))
        if known is None:
            self.text_bytes += sum(len(name) + len(value) for name, value in labels)
            known = self._labelled[id(bare), labels] = _labelled(bare, labels) if labels else bare
        return known

    def labels(self, raw: Mapping[str, str]) -> Labels:
        """Sorted pairs; equal pairs are one object, because every pod repeats most of them."""
        pairs = self._pairs
        return tuple([pairs.setdefault(pair, pair) for pair in sorted(raw.items())])

    def text(self, value: str) -> str:
        """One object for equal names (nodes, groups)."""
        return self._texts.setdefault(value, value)

    def keep_only(self, specs: Iterable[PodSpec]) -> None:
        """Forget what no living pod uses; call it now and then where pods come and go for ever."""
        used = {id(spec) for spec in specs}
        self._labelled = {key: spec for key, spec in self._labelled.items() if id(spec) in used}
        bases = {base for base, _ in self._labelled}
        self._bare = {key: spec for key, spec in self._bare.items() if id(spec) in bases}
        self._pairs = {pair: pair for spec in self._labelled.values() for pair in spec.labels}
        self._texts = {}
        self.text_bytes = 0

    def __len__(self) -> int:
        return len(self._labelled)


def _labelled(bare: PodSpec, labels: Labels) -> PodSpec:
    """``dataclasses.replace`` at a third of its cost: this runs once for every pod of an indexed job."""
    namespace, *rest = _without_labels(bare)
    return PodSpec(namespace, labels, *rest)
