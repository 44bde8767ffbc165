"""The live panel of `notebooks/explore.ipynb`: choose, press Run, watch, stop, compare.

It learns and measures with `experiment.TaskSequence` and draws with `plots`. `fields` has what can be chosen and what is
refused; `panel` has the runs and their views.
"""

from lr_lab.panel.fields import SPLITS
from lr_lab.panel.panel import Panel, show

__all__ = ["SPLITS", "Panel", "show"]
