"""Draws the picture of the README: the headline figure as a file.

`python report/headline.py docs/headline.svg` draws it anew after new records.
"""

from __future__ import annotations

import sys
from pathlib import Path

from drawings import figures
from lr_lab import files, plots


def picture() -> str:
    """The headline figure as an SVG document on white, for pages that may be dark."""
    head, rest = plots.svg(figures.headline_figure()).split(">", 1)
    return f'{head}><rect width="100%" height="100%" fill="white"/>{rest}'


if __name__ == "__main__":
    files.write_atomically(Path(sys.argv[1]), picture().encode())
