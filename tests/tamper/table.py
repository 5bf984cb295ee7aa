"""All rows in one table."""

from __future__ import annotations

from typing import Final

from tests.tamper.bugs import BUGS
from tests.tamper.row import Row
from tests.tamper.rows_of_claims import ROWS_OF_CLAIMS
from tests.tamper.rows_of_evictions import ROWS_OF_EVICTIONS
from tests.tamper.rows_of_pods import ROWS_OF_PODS
from tests.tamper.rows_of_queues import ROWS_OF_QUEUES
from tests.tamper.rows_of_rules import ROWS_OF_RULES

__all__ = ["BUGS", "ROWS"]

ROWS: Final[list[Row]] = [*ROWS_OF_PODS, *ROWS_OF_RULES, *ROWS_OF_CLAIMS, *ROWS_OF_QUEUES, *ROWS_OF_EVICTIONS]
