"""Claims, selectors and slices that are many, hopeless, expensive or false."""

from __future__ import annotations

from tests.hostile.documents import (
    CPU_DRIVER,
    DRIVER,
    Document,
    Documents,
    a_claim,
    a_pod,
    a_request,
    a_slice,
    devices,
)
from tests.hostile.world import Shelf

SHELF = Shelf()
UUID = f'device.attributes["{DRIVER}"].uuid'


def nested(depth: int, inner: str) -> str:
    """Six to the power of ``depth`` evaluations."""
    for level in range(depth):
        inner = f"[1,2,3,4,5,6].all(v{level}, {inner})"
    return inner


def with_pod(name: str, namespace: str, *requests: Document, **more: object) -> Documents:
    """A claim and the pod that uses it."""
    return [a_claim(name, namespace, *requests, **more), a_pod(name, namespace, claims=(name,))]


def all_of(parts: list[Documents]) -> Documents:
    return [document for part in parts for document in part]


@SHELF.world(30, live=33)
def nine_requests_on_eight_devices(namespace: str, size: int) -> Documents:
    requests = [a_request(f"r{n}") for n in range(9)]
    return all_of([with_pod(f"p{n}", namespace, *requests) for n in range(size)])


@SHELF.world(8, live=20)
def nine_requests_each_its_own(namespace: str, size: int) -> Documents:
    return all_of(
        [
            with_pod(f"p{n}", namespace, *(a_request(f"r{k}", selector=f'{UUID} != "{n}"') for k in range(9)))
            for n in range(size)
        ]
    )


@SHELF.world(8, live=20)
def one_of_eight_nine_times(namespace: str, size: int) -> Documents:
    return all_of(
        [
            with_pod(
                f"p{n}",
                namespace,
                *(a_request(f"r{k}", selector=f'{UUID} != "{n}-{k}"') for k in range(7)),
                a_request("last", count=2),
            )
            for n in range(size)
        ]
    )


@SHELF.world(15, live=20)
def nested_selectors(namespace: str, size: int) -> Documents:
    return all_of(
        [with_pod(f"p{n}", namespace, a_request(selector=nested(2, f'{UUID} != "{n}"'))) for n in range(size)]
    )


@SHELF.world(5, live=6)
def deeply_nested_selectors(namespace: str, size: int) -> Documents:
    return all_of(
        [with_pod(f"p{n}", namespace, a_request(selector=nested(7, f'{UUID} != "{n}"'))) for n in range(size)]
    )


@SHELF.world(5, live=6)
def parentheses_without_end(namespace: str, size: int) -> Documents:
    expressions = (
        "(" * 3000 + "true" + ")" * 3000,
        "!" * 9000 + "true",
        "[" * 4000 + "]" * 4000,
        "-" * 9000 + "1 == 1",
        "(" * 9000,
    )
    return all_of(
        [
            with_pod(f"p{n}", namespace, a_request(selector=expressions[n % len(expressions)]))
            for n in range(size)
        ]
    )


@SHELF.world(5, live=6)
def patterns_that_explode(namespace: str, size: int) -> Documents:
    text = "a" * 2000
    patterns = (
        f"'{text}'.matches('(a+)+$b')",
        f"'{text}b'.matches('(a|a)*c')",
        f"'{text}'.matches('(.*){{1,900}}x')",
        f"{UUID}.matches('(')",
    )
    return all_of(
        [with_pod(f"p{n}", namespace, a_request(selector=patterns[n % len(patterns)])) for n in range(size)]
    )


@SHELF.world(1, live=4)
def selectors_that_fail(namespace: str, size: int) -> Documents:
    expressions = (
        "device.attributes['x'].y == 'z'",
        "1 / 0 == 1",
        "9223372036854775807 + 1 > 0",
        "'abc'",
        "device.capacity['x'].y.isGreaterThan(quantity('9e999'))",
        "\x1b[2J",
        "quantity('x').asInteger() == 1",
        " || ".join(f"{UUID} == '{n}'" for n in range(250)),
    )
    return all_of(
        [with_pod(f"p{n}", namespace, a_request(selector=one)) for n, one in enumerate(expressions * size)]
    )


@SHELF.world(3, live=20)
def alternatives_that_never_fit(namespace: str, size: int) -> Documents:
    def alternatives(pod: int) -> Document:
        options = [{"name": f"a{n}", **devices(9, f'{UUID} != "{pod}-{n}"')} for n in range(8)]
        return {"name": "r", "firstAvailable": options}

    return all_of([with_pod(f"p{n}", namespace, alternatives(n)) for n in range(size)])


@SHELF.world(6, live=20)
def devices_that_must_differ_and_do_not(namespace: str, size: int) -> Documents:
    constraints = [{"distinctAttribute": f"{DRIVER}/model"}]
    return all_of(
        [
            with_pod(
                f"p{n}", namespace, a_request(count=7, selector=f'{UUID} != "{n}"'), constraints=constraints
            )
            for n in range(size)
        ]
    )


@SHELF.world(15, live=20)
def devices_that_must_match_and_do_not(namespace: str, size: int) -> Documents:
    requests = [a_request(f"r{n}", count=2) for n in range(4)]
    constraints = [{"matchAttribute": f"{DRIVER}/uuid", "requests": ["r3"]}]
    return all_of([with_pod(f"p{n}", namespace, *requests, constraints=constraints) for n in range(size)])


@SHELF.world(4, live=5)
def thirty_two_claims_a_pod(namespace: str, size: int) -> Documents:
    documents: Documents = []
    for pod in range(size):
        names = tuple(f"c{pod}-{n}" for n in range(32))
        documents += [a_claim(name, namespace, a_request(selector=f'{UUID} != "{name}"')) for name in names]
        documents.append(a_pod(f"p{pod}", namespace, claims=names))
    return documents


@SHELF.world(1)
def one_claim_of_thirty_two_cpus(namespace: str, size: int) -> Documents:
    return all_of(
        [with_pod(f"p{n}", namespace, a_request(count=32, device_class=CPU_DRIVER)) for n in range(size)]
    )


@SHELF.world(8, live=4)
def claims_of_all_cpus(namespace: str, size: int) -> Documents:
    return all_of(
        [with_pod(f"p{n}", namespace, a_request(count=32, device_class=CPU_DRIVER)) for n in range(size)]
    )


@SHELF.world(20, live=13)
def many_claims_of_eight_cpus(namespace: str, size: int) -> Documents:
    return all_of(
        [with_pod(f"p{n}", namespace, a_request(count=8, device_class=CPU_DRIVER)) for n in range(size)]
    )


@SHELF.world()
def claims_of_two_to_the_63(namespace: str, size: int) -> Documents:
    most = 2**63 - 1
    huge = {"capacity": {"requests": {"memory": "9223372036854775807Ei"}}}
    return [
        *with_pod("count", namespace, a_request(count=most)),
        *with_pod("many", namespace, *(a_request(f"r{n}", count=most) for n in range(32))),
        *with_pod("capacity", namespace, a_request(**huge)),
        *with_pod(
            "everything",
            namespace,
            {"name": "r", "exactly": {"deviceClassName": DRIVER, "allocationMode": "All"}},
        ),
    ]


@SHELF.world(20, live=20)
def one_claim_for_all(namespace: str, size: int) -> Documents:
    return [
        a_claim("shared", namespace, a_request(count=9)),
        *(a_pod(f"p{n}", namespace, claims=("shared",)) for n in range(size)),
    ]


@SHELF.world(50, live=50)
def claims_that_do_not_exist(namespace: str, size: int) -> Documents:
    return [a_pod(f"p{n}", namespace, claims=tuple(f"none-{n}-{k}" for k in range(10))) for n in range(size)]


@SHELF.world(4, live=4)
def parameters_of_ten_kilobytes(namespace: str, size: int) -> Documents:
    opaque = {"driver": DRIVER, "parameters": {"text": "x" * 9000}}
    config = [{"opaque": opaque}] * 32
    return all_of([with_pod(f"p{n}", namespace, a_request(), config=config) for n in range(size)])


@SHELF.world(5, live=10)
def huge_slices(namespace: str, size: int) -> Documents:
    attributes = {f"a{n}": {"string": "x" * 60} for n in range(20)}
    slices = [
        a_slice(
            f"evil-{n}",
            f"n{n % 8}",
            [{"name": f"d{k}", "attributes": {**attributes, "k": {"int": k}}} for k in range(128)],
            driver="evil.example.com",
        )
        for n in range(size)
    ]
    return [*slices, *with_pod("p", namespace, a_request(count=32))]


@SHELF.world()
def pools_that_contradict_themselves(namespace: str, size: int) -> Documents:
    device = [{"name": "d"}, {"name": "e", "attributes": {"index": {"int": 2**63 - 1}}}]
    driver = "evil.example.com"
    return [
        a_slice("evil-0", "n0", device, driver=driver, resourceSliceCount=2**31),
        a_slice("evil-1", "n1", device, driver=driver, generation=2**62),
        a_slice("evil-2", "n1", device, driver=driver, generation=1),
        a_slice("evil-3", "n2", device, driver=driver),
        a_slice("evil-4", "n2", device, driver=driver),
        a_slice("evil-5", "nowhere", device, driver=driver),
        *with_pod("p", namespace, a_request(selector=f"device.driver == '{driver}'")),
    ]


@SHELF.world(50, live=33)
def taint_rules_without_selector(namespace: str, size: int) -> Documents:
    taint = {"key": "example.com/bad", "value": "x", "effect": "NoExecute"}
    rules: Documents = [
        {
            "apiVersion": "resource.k8s.io/v1",
            "kind": "DeviceTaintRule",
            "metadata": {"name": f"evil-{n}"},
            "spec": {"taint": taint, **({"deviceSelector": {}} if n % 2 else {})},
        }
        for n in range(size)
    ]
    return [*rules, *with_pod("p", namespace, a_request())]
