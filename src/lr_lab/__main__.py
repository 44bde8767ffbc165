"""`python -m lr_lab`."""

from lr_lab.cli import main

main()
