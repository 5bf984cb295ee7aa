"""Named formats: the Kubernetes format library, whose ``validate`` gives nothing or the list of faults."""

from __future__ import annotations

import re
from typing import Final

from kai_sched.devices.cel.budget import Budget
from kai_sched.devices.cel.types import overload
from kai_sched.devices.cel.values import NOTHING, NamedFormat, OptionalValue

_LABEL: Final = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_QUALIFIED: Final = r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_PATTERNS: Final[dict[str, tuple[re.Pattern[str], int]]] = {
    "dns1123Label": (re.compile(_LABEL), 63),
    "dns1123Subdomain": (re.compile(rf"{_LABEL}(\.{_LABEL})*"), 253),
    "dns1035Label": (re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?"), 63),
    "dns1123LabelPrefix": (re.compile(rf"{_LABEL}-?"), 63),
    "dns1123SubdomainPrefix": (re.compile(rf"{_LABEL}(\.{_LABEL})*[-.]?"), 253),
    "dns1035LabelPrefix": (re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?-?"), 63),
    "labelValue": (re.compile(rf"({_QUALIFIED})?"), 63),
    "qualifiedName": (re.compile(rf"({_LABEL}(\.{_LABEL})*/)?{_QUALIFIED}"), 317),
    "uuid": (re.compile(r"[0-9a-f]{8}(-?[0-9a-f]{4}){3}-?[0-9a-f]{12}", re.IGNORECASE), 36),
    "byte": (re.compile(r"([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"), 10240),
    "date": (re.compile(r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])"), 10),
    "datetime": (
        re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.IGNORECASE),
        40,
    ),
    "uri": (re.compile(r"(/|[A-Za-z][A-Za-z0-9+.-]*:)\S*"), 10240),
}


def _named(_budget: Budget, name: str) -> OptionalValue:
    return OptionalValue(is_present=True, value=NamedFormat(name)) if name in _PATTERNS else NOTHING


def _validate(budget: Budget, form: NamedFormat, text: str) -> OptionalValue:
    budget.take_text(text)
    pattern, longest = _PATTERNS[form.name]
    if len(text) <= longest and pattern.fullmatch(text):
        return NOTHING
    return OptionalValue(
        is_present=True, value=[f"must be a valid {form.name} of at most {longest} characters"]
    )


OVERLOADS: Final = (
    overload("format.named(string) -> optional(format)", _named),
    overload("format:validate(string) -> optional(list(string))", _validate),
    *(overload(f"format.{name}() -> format", lambda _b, name=name: NamedFormat(name)) for name in _PATTERNS),
)
