"""Ours beside the reference's: one random case, two answers, and where they differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from kai_sched.api.dra import translate_claim, translate_class, translate_slice
from kai_sched.api.dra_allocation import allocation_document
from kai_sched.devices.allocator import DeviceRefusal, Options, RefusalKind, allocate
from kai_sched.devices.features import AllocatorFeatures
from kai_sched.devices.index import DeviceIndex
from tests.conformance.allocator_table import canonical, node_of, state_of
from tests.fuzz.cases import random_case
from tests.fuzz.reference import Reference

RELEASE_FEATURES = AllocatorFeatures(list_type_attributes=False, compatibility_groups=False)
"""What is on by default in the release."""
PATIENT = Options(max_steps=50_000_000)
"""The reference searches on until its caller loses patience; one case in some thousands takes millions of steps."""


@dataclass(frozen=True)
class Answer:
    """``kind``: allocated, no fit on this node, or an error for the claims as they stand; ``text`` is for readers."""

    kind: str
    devices: tuple[str, ...] = ()
    text: str = field(default="", compare=False)


@dataclass(frozen=True)
class Difference:
    seed: int
    ours: Answer
    reference: Answer

    def __str__(self) -> str:
        return f"seed {self.seed}: ours {self.ours}, reference {self.reference}"


def our_answer(case: dict[str, Any]) -> Answer:
    index = DeviceIndex(
        [translate_slice(document) for document in case["resourceSlices"]],
        [translate_class(document) for document in case["deviceClasses"]],
        features=RELEASE_FEATURES,
    )
    claims = [translate_claim(document, namespace_allows_admin=True) for document in case["claims"]]
    outcome = allocate(index, state_of(case), node_of(case["node"]), claims, PATIENT)
    if isinstance(outcome, DeviceRefusal):
        kind = {RefusalKind.NO_FIT: "no fit", RefusalKind.FATAL: "error", RefusalKind.BUDGET: "budget"}
        return Answer(kind[outcome.kind], text=outcome.message)
    return Answer("allocated", canonical([allocation_document(allocation) for allocation in outcome]))


def reference_answer(case: dict[str, Any], reference: Reference) -> Answer:
    answer = reference.answer(case)
    if answer.get("error"):
        return Answer("no fit" if answer.get("onNode") else "error", text=answer["error"])
    if answer.get("results"):
        return Answer("allocated", canonical(answer["results"]))
    return Answer("no fit")


def compare(seeds: Iterable[int], reference: Reference) -> tuple[Counter[str], list[Difference]]:
    """How the reference's answers spread over kinds, and every case in which ours is another."""
    kinds: Counter[str] = Counter()
    differences: list[Difference] = []
    for seed in seeds:
        case = random_case(seed)
        theirs, ours = reference_answer(case, reference), our_answer(case)
        kinds[theirs.kind] += 1
        if ours != theirs:
            differences.append(Difference(seed, ours, theirs))
    return kinds, differences
