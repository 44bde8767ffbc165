"""Latent replay, re-run: the models, the protocol and the measurements behind the paper.

Read in this order: `config` (what can be set and why), `datasets`, `fetching` (where they come from), `models`,
`memory`, `metrics`, `training`, `monitor`, `protocol` (one case from raw images to numbers), `records` (what a run
leaves behind), `grid` (many runs), `figures`.
"""

__version__ = "0.1.0"
