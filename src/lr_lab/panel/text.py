"""Tasks as users write them in the panel and in the parameters of explore.ipynb."""

from __future__ import annotations

import re
from reprlib import repr as short_repr

from lr_core.errors import UsageError
from lr_core.settings import check_tasks


def parse_tasks(text: str) -> tuple[tuple[int, ...], ...]:
    """Classes written as digits, a bar between tasks: "01234 | 56789" -> ((0, 1, 2, 3, 4), (5, 6, 7, 8, 9)).

    Blanks and commas are ignored. Raises UsageError for anything else, and where `check_tasks` does.
    """
    rule = "write digits, and a bar between tasks, as in '01234 | 56789'"
    if not isinstance(text, str):  # papermill's -p makes a number of digits alone, without leading zeros
        raise UsageError(
            f"tasks are {short_repr(text)}, which is no text: {rule} "
            "(digits alone are a number to papermill's -p, and text to its -r)"
        )
    if strange := re.search(r"[^\d\s,|]", text):
        raise UsageError(f"{strange[0]!r} is no class: {rule}")
    tasks = tuple(tuple(int(digit) for digit in re.findall(r"\d", part)) for part in text.split("|"))
    check_tasks(tasks)
    return tasks
