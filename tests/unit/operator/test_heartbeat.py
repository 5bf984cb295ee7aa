"""The heartbeat of a watch: a quiet one is not taken for dead, a dead one not for quiet."""

from kai_sched.operator.heartbeat import (
    OPENING_SECONDS,
    REFUSED_SECONDS,
    SILENCE_SECONDS,
    WATCH_SECONDS,
    Heartbeat,
)


def test_a_quiet_watch_that_is_opened_again_in_time_never_has_a_problem():
    heartbeat = Heartbeat(begun_at=100.0)
    now = 101.0
    for _ in range(50):
        heartbeat.beat(now)
        now += WATCH_SECONDS + 4.0
        assert heartbeat.problem(now) == ""


def test_a_watch_whose_end_is_overdue_is_dead():
    heartbeat = Heartbeat(begun_at=0.0)
    heartbeat.beat(1.0)

    assert heartbeat.problem(1.0 + SILENCE_SECONDS) == ""
    assert heartbeat.problem(1.1 + SILENCE_SECONDS) == "nothing was heard for 26 s"


def test_a_refusal_ends_the_watch_unless_a_beat_follows():
    heartbeat = Heartbeat(begun_at=0.0)
    heartbeat.beat(1.0)
    heartbeat.refused(5.0, 403)
    heartbeat.refused(5.5, 403)

    assert heartbeat.problem(5.0 + REFUSED_SECONDS) == ""
    assert heartbeat.problem(5.1 + REFUSED_SECONDS) == "the API server answers 403"
    heartbeat.beat(7.0)
    assert heartbeat.problem(7.0 + REFUSED_SECONDS + 1.0) == ""


def test_a_run_that_opens_no_watch_is_dead_after_a_while():
    heartbeat = Heartbeat(begun_at=10.0)

    assert heartbeat.problem(10.0 + OPENING_SECONDS) == ""
    assert heartbeat.problem(10.1 + OPENING_SECONDS) == "no watch was opened in 12 s"
