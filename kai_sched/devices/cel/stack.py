"""Room for expressions that nest as deeply as the API server lets them.

Parser, checker and evaluator walk an expression with Python's own calls, up to seven for a level of nesting. Frames of
such calls lie on the heap; only Python's guard against endless recursion has to know how many are meant. It is raised
once, when this is loaded, and never lowered, so that no thread takes room from another.
"""

from __future__ import annotations

import sys
from typing import Final

MAX_NESTING: Final = 250
"""Levels of nesting in the text of an expression; the API server's own limit."""
MAX_DEPTH: Final = 500
"""Levels of its tree: chains of operators and of calls are deep without nesting, and may stand in one another."""
MAX_PATTERN_NESTING: Final = 1000
"""Levels of groups in a regular expression; RE2's own limit."""
_FRAMES_A_LEVEL: Final = 7
_FRAMES_OF_OTHERS: Final = 1000

sys.setrecursionlimit(
    max(
        sys.getrecursionlimit(),
        _FRAMES_OF_OTHERS + _FRAMES_A_LEVEL * max(MAX_DEPTH, MAX_PATTERN_NESTING),
    )
)
