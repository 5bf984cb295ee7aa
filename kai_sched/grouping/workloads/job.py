"""Jobs: one group a Job, also of a CronJob; it starts with one pod unless an annotation asks for more."""

from __future__ import annotations

from typing import Final

from kai_sched.api import keys
from kai_sched.api.kinds import CRON_JOB, JOB, Kind
from kai_sched.grouping.decisions import Together
from kai_sched.grouping.owners import Owner
from kai_sched.model.integers import int_of_digits

KINDS: Final[tuple[Kind, ...]] = (JOB, CRON_JOB)
FOLLOWED_BY_NAME: Final = frozenset({CRON_JOB})
"""Known from references to them alone: a CronJob decides nothing that its Job does not say."""
_INT32_MAX = 2**31 - 1


def decide(chain: tuple[Owner, ...]) -> Together:
    """The pods of one Job."""
    job = next((owner for owner in chain if owner.kind == JOB), chain[-1])
    asked = job.annotations.get(keys.BATCH_MIN_MEMBER)
    if asked is None:
        return Together(job)
    if not asked.isascii() or not asked.isdigit() or not 1 <= int_of_digits(asked) <= _INT32_MAX:
        where = f"Job {job.reference.name}: metadata.annotations[{keys.BATCH_MIN_MEMBER}]"
        return Together(job, problem=f"{where}: must be a whole number of at least 1, is {asked!r}")
    return Together(job, min_member=int_of_digits(asked))
