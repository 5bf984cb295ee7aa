"""Random CEL selectors over random devices, one from each seed, and where ours and the reference's answers differ."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from random import Random
from typing import Any

from kai_sched.api.dra import translate_slice
from kai_sched.devices.cel.device_view import DeviceFacts
from kai_sched.devices.cel.selector import Selector
from tests.fuzz.reference import Reference

Document = dict[str, Any]
DRIVER = "a.example.com"
_OTHER = "x.example.com"
_DOMAINS = (f'"{DRIVER}"', "device.driver", f'"{_OTHER}"', '"none.example.com"')
_LEAVES = {
    "bool": ("true", "false", "device.allowMultipleAllocations", "$attr.flag", "$attr.?flag.orValue(false)"),
    "int": ("0", "1", "7", "-3", "9223372036854775807", "$attr.count", "$attr.?count.orValue(0)"),
    "string": ('""', '"big"', "'a,b'", '"1.2.3"', '"5"', "device.driver", "$attr.kind", '$attr["kind"]'),
    "double": ("0.5", "1.0", "-2.5", "1e3"),
    "list": ("[1, 2, 3]", "[3, 1]", "[7]"),
    "quantity": ("$cap.memory", "$cap.cores", 'quantity("8Gi")', '$cap.?memory.orValue(quantity("1"))'),
    "semver": ('semver("1.0.0")', 'semver("1.2.3-rc.1")', "$attr.version"),
}
_TEMPLATES = {
    "bool": (
        "($bool && $bool)",
        "($bool || $bool)",
        "!($bool)",
        "($bool ? $bool : $bool)",
        "$int < $int",
        "$int >= $double",
        "$double > $double",
        "$int == $int",
        "$string == $string",
        "$string != $string",
        "$string < $string",
        "$string.contains($string)",
        "$string.startsWith($string)",
        "$string.endsWith($string)",
        '$string.matches("^b.g$")',
        '$string.matches("[A-Z]+[0-9]*")',
        '$string.matches("a|s")',
        '$string.matches("(")',
        "$int in $list",
        "has($attr.kind)",
        "has($attr.flag)",
        '"memory" in $cap',
        '"nothing" in $cap',
        "$quantity.isGreaterThan($quantity)",
        "$quantity.isLessThan($quantity)",
        "$semver.isGreaterThan($semver)",
        "$semver.isLessThan($semver)",
        "isQuantity($string)",
        "isSemver($string)",
        "$list.all(@, $bool)",
        "$list.exists(@, $bool)",
        "$list.exists_one(@, $bool)",
        "$list.isSorted()",
        "cel.bind(@, $int, $bool)",
        "$list == $list",
    ),
    "int": (
        "($int + $int)",
        "($int - $int)",
        "($int * $int)",
        "($int / $int)",
        "($int % $int)",
        "size($list)",
        "$string.size()",
        "int($string)",
        "int($double)",
        "$quantity.sign()",
        "$quantity.asInteger()",
        "$quantity.compareTo($quantity)",
        "$semver.major()",
        "$semver.patch()",
        "$semver.compareTo($semver)",
        "$list[$int]",
        "$list.sum()",
        "$list.min()",
        "$list.max()",
        "$list.indexOf($int)",
        "$string.indexOf($string)",
        "($bool ? $int : $int)",
    ),
    "string": (
        "($string + $string)",
        "$string.lowerAscii()",
        "$string.upperAscii()",
        "$string.trim()",
        "$string.replace($string, $string)",
        "$string.substring(1)",
        "$string.split(',')[1]",
        "$string.find('[a-z]+')",
        "$string.charAt(0)",
        "string($int)",
        "($bool ? $string : $string)",
    ),
    "double": (
        "double($int)",
        "($double + $double)",
        "($double / $double)",
        "$quantity.asApproximateFloat()",
    ),
    "list": ("[$int, $int]", "($list + $list)", "$list.filter(@, $bool)", "$list.map(@, $int)"),
    "quantity": (
        "$quantity.add($quantity)",
        "$quantity.sub($quantity)",
        'quantity("2500m")',
        'quantity("100Ti")',
        'quantity("bad")',
        "quantity($string)",
    ),
    "semver": ("semver($string)", 'semver("v1.2", true)', 'semver("01.2.3", false)', "$attr.version"),
}
"""What a kind of value is made of: ``$kind`` is another expression, ``@`` a variable that the last one may use."""
_TOKEN = re.compile(r"\$(\w+)|@")


def random_expression(seed: int) -> Document:
    """The selector and device of a seed."""
    return _Generator(Random(seed)).case()


def compare_expressions(seeds: Iterable[int], reference: Reference) -> tuple[Counter[str], list[str]]:
    """How the reference's answers spread over kinds, and every expression that ends otherwise in ours."""
    kinds: Counter[str] = Counter()
    differences: list[str] = []
    for seed in seeds:
        case = random_expression(seed)
        theirs, ours = _their_answer(reference.answer(case)), _our_answer(case)
        kinds[theirs[0]] += 1
        if ours[0] != theirs[0]:
            differences.append(f"seed {seed}: ours {ours}, reference {theirs}: {case['expression']}")
    return kinds, differences


def _their_answer(answer: Document) -> tuple[str, str]:
    if answer.get("compileError"):
        return "compile error", answer["compileError"][:200]
    if answer.get("error"):
        return "run-time error", answer["error"][:200]
    return ("match" if answer["match"] else "no match"), ""


def _our_answer(case: Document) -> tuple[str, str]:
    published = translate_slice({"spec": {"driver": DRIVER, "devices": [case["device"]]}})
    verdict = Selector(case["expression"]).verdict(DeviceFacts(DRIVER, published.devices[0]))
    if verdict.is_compile_error:
        return "compile error", verdict.error[:200]
    if verdict.error:
        return "run-time error", verdict.error[:200]
    return ("match" if verdict.is_match else "no match"), ""


class _Generator:
    def __init__(self, random: Random) -> None:
        self._random = random
        self._variables: list[str] = []

    def case(self) -> Document:
        return {"expression": self._of("bool", 4), "driver": DRIVER, "device": self._device()}

    def _device(self) -> Document:
        attributes: Document = {}
        for prefix in ("", f"{_OTHER}/"):
            for name, value in (
                ("flag", {"bool": self._random.random() < 0.5}),
                ("count", {"int": self._random.choice((0, 1, 2, 7))}),
                ("kind", {"string": self._random.choice(("", "big", "small", "A100 80GB"))}),
                ("version", {"version": self._random.choice(("1.0.0", "1.2.3", "2.0.0-rc.1"))}),
            ):
                if self._random.random() < 0.6:
                    attributes[prefix + name] = value
        capacity = {
            name: {"value": self._random.choice(("1", "8Gi", "2500m", "40Gi", "100Ti", "1.50", "5k"))}
            for name in ("memory", "cores")
            if self._random.random() < 0.7
        }
        device: Document = {"name": "device", "attributes": attributes, "capacity": capacity}
        if self._random.random() < 0.3:
            device["allowMultipleAllocations"] = True
        return device

    def _of(self, kind: str, depth: int) -> str:
        """An expression that should be of this kind; now and then one that is not."""
        if self._random.random() < 0.015:
            kind = self._random.choice(tuple(_LEAVES))
        if kind == "int" and self._variables and self._random.random() < 0.4:
            return self._random.choice(self._variables)
        is_leaf = depth <= 0 or self._random.random() < 0.15
        template = self._random.choice((_LEAVES if is_leaf else _TEMPLATES)[kind])
        return self._filled(template, depth - 1)

    def _filled(self, template: str, depth: int) -> str:
        variable = f"v{len(self._variables)}"

        def part(token: re.Match[str]) -> str:
            match token.group(1):
                case None:
                    return variable
                case "attr":
                    return f"device.attributes[{self._random.choice(_DOMAINS)}]"
                case "cap":
                    return f"device.capacity[{self._random.choice(_DOMAINS[:2])}]"
                case kind:
                    is_in_scope = template.rfind(", ", 0, token.start()) > template.find("@") > -1
                    if not is_in_scope:
                        return self._of(kind, depth)
                    self._variables.append(variable)
                    body = self._of(kind, depth)
                    self._variables.pop()
                    return body

        return _TOKEN.sub(part, template)
