"""The live panel of `notebooks/explore.ipynb`: choose, press Run, watch, stop, compare.

It trains and measures with `experiment.TaskSequence` and draws with `plots`.
"""

from lr_lab.panel.fields import SPLITS
from lr_lab.panel.panel import Panel, show

__all__ = ["SPLITS", "Panel", "show"]
