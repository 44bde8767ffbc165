"""Writes the ledger of claims as JSON.

`python report/ledger.py report/claims.json` writes the committed one anew after new records.
"""

from __future__ import annotations

import sys
from pathlib import Path

from analysis import claims
from lr_lab import files

if __name__ == "__main__":
    files.write_atomically(Path(sys.argv[1]), claims.as_json().encode())
