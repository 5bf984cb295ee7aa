"""The reference allocator's table: every verdict and every result, with its known bugs copied and without."""

import pytest

from kai_sched.devices.allocator import Options
from tests.conformance.allocator_table import (
    REFUSED_BY_RELEASE,
    Verdict,
    is_as_expected,
    is_as_tabled,
    load_cases,
    run_case,
)


@pytest.mark.parametrize("bug_compatible", [True, False])
def test_every_case_ends_as_the_table_has_it_or_as_the_release_where_they_differ(shared_data, bug_compatible):
    cases = load_cases(shared_data)
    options = Options(bug_compatible=bug_compatible)

    verdicts = {name: run_case(case, options) for name, case in cases.items()}

    assert len(cases) == 223
    assert [name for name in cases if not is_as_expected(name, cases[name], verdicts[name])] == []
    assert sum(is_as_tabled(cases[name], verdicts[name]) for name in cases) == 222


def test_the_one_case_that_contradicts_the_release_ends_as_the_release_has_it(shared_data):
    case = load_cases(shared_data)[REFUSED_BY_RELEASE]

    verdict = run_case(case, Options())

    assert verdict == Verdict()
    assert not is_as_tabled(case, verdict)


def test_the_comparison_notices_another_device(shared_data):
    """The judge itself: a result with one device renamed must not pass."""
    cases = load_cases(shared_data)
    name = "all-devices-many"
    verdict = run_case(cases[name], Options())

    spoilt = Verdict(results=tuple(text.replace("device-1", "device-9", 1) for text in verdict.results))

    assert is_as_expected(name, cases[name], verdict)
    assert not is_as_expected(name, cases[name], spoilt)
