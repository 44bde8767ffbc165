"""What users write in the field of tasks, and in the parameter of explore.ipynb."""

from __future__ import annotations

import re
from reprlib import repr as short_repr

from lr_core.errors import UsageError
from lr_core.settings import check_tasks


def parse_tasks(text: str) -> tuple[tuple[int, ...], ...]:
    """Classes written as digits, tasks apart by a bar: "01234 | 56789" -> ((0, 1, 2, 3, 4), (5, 6, 7, 8, 9)).

    Blanks and commas between the digits are as good as none. Raises UsageError for anything else, and wherever
    `check_tasks` does.
    """
    if not isinstance(text, str):  # papermill's -p makes a number of digits alone, without the zeros that lead
        raise UsageError(
            f"tasks are {short_repr(text)}, which is no text: write digits, and a bar between tasks, as in '01234 | 56789' "
            "(digits alone are a number to papermill's -p, and text to its -r)"
        )
    strange = re.search(r"[^\d\s,|]", text)
    if strange:
        raise UsageError(f"{strange[0]!r} is no class: write digits, and a bar between tasks, as in 01234 | 56789")
    tasks = tuple(tuple(int(digit) for digit in re.findall(r"\d", part)) for part in text.split("|"))
    check_tasks(tasks)
    return tasks
