"""The reference's CEL cases: all that a stored expression can be, and a reason for each of the others."""

from tests.conformance.cel_table import (
    EXPLAINED,
    NOT_ALIKE,
    is_cel_as_expected,
    is_for_stored_expressions,
    load_cel_cases,
    run_cel_case,
)


def test_every_case_of_a_stored_expression_ends_as_the_table_has_it(shared_data):
    cases = {n: case for n, case in load_cel_cases(shared_data).items() if is_for_stored_expressions(case)}

    assert len(cases) == 66
    assert [name for name, case in cases.items() if not is_cel_as_expected(case, run_cel_case(case))] == []


def test_each_other_case_has_an_explanation_and_those_that_end_otherwise_are_known(shared_data):
    others = {n: c for n, c in load_cel_cases(shared_data).items() if not is_for_stored_expressions(c)}

    assert set(others) == set(EXPLAINED)
    assert {n for n, case in others.items() if not is_cel_as_expected(case, run_cel_case(case))} == NOT_ALIKE
