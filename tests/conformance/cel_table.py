"""The reference's table of CEL selectors, run against our evaluator."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kai_sched.api.dra import translate_slice
from kai_sched.devices.cel.device_view import DeviceFacts
from kai_sched.devices.cel.selector import Selector, SelectorVerdict

EXPLAINED = {
    "allow_multiple_allocations_disabled": (
        "asks the API server to refuse a field whose gate is off; a stored expression may read it, and does"
    ),
    "allow_multiple_allocations_enabled": "asks what the API server takes with the gate on; ours evaluates it alike",
    "allow_multiple_allocations_new": "asks what the API server takes with the gate on; ours evaluates it alike",
    "includes-function-compilation-and-eval-success": (
        "asks what the API server takes with the gate on; ours evaluates it alike"
    ),
    "includes-function-compilation-error": (
        "asks the API server to refuse `includes` with its gate off; stored, it runs and finds no such key"
    ),
}
"""The cases that no stored expression can be: they compile as the API server does for new objects (NewExpressions)."""
NOT_ALIKE = frozenset({"allow_multiple_allocations_disabled", "includes-function-compilation-error"})
"""Those of them that end otherwise here."""

Case = Mapping[str, Any]


def load_cel_cases(shared: Path) -> dict[str, Case]:
    return dict(json.loads((shared / "cases/dra/cel_cases.json").read_text()))


def is_for_stored_expressions(case: Case) -> bool:
    return case.get("envType") != "NewExpressions"


def run_cel_case(case: Case) -> SelectorVerdict:
    given = {key: case.get(key) for key in ("attributes", "capacity", "allowMultipleAllocations")}
    device = {"name": "device", **{key: value for key, value in given.items() if value is not None}}
    published = translate_slice({"spec": {"driver": case.get("driver") or "", "devices": [device]}})
    return Selector(case["expression"]).verdict(DeviceFacts(published.driver, published.devices[0]))


def is_cel_as_expected(case: Case, verdict: SelectorVerdict) -> bool:
    """Match, error and its text as the table has them."""
    if case.get("expectCompileError"):
        return verdict.is_compile_error and case["expectCompileError"] in verdict.error
    if case.get("expectMatchError"):
        return not verdict.is_compile_error and case["expectMatchError"] in verdict.error
    return not verdict.error and verdict.is_match == bool(case.get("expectMatch"))
