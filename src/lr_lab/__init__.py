"""What runs the experiment (`lr_core`), records it and shows it.

`data` finds and verifies images, `runs` makes a record of a run, `grid` makes many, `plots` draws, `panel` is the panel of
explore.ipynb, `cli` is the command line.
"""
