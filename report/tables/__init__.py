"""The tables of the paper."""

from tables.claim_tables import claims_at_a_glance, ledger
from tables.protocol_tables import budgets, cases, checksums, data_facts, network, settings
from tables.published_beside_ours import largest_gaps, legend, mean_gaps, precision, replay_gaps, results, shade
from tables.run_tables import goals, growth, provenance
from tables.verdict_tables import differing, effects, open_choices, readings, verdict_counts

__all__ = [
    "budgets",
    "cases",
    "checksums",
    "claims_at_a_glance",
    "data_facts",
    "differing",
    "effects",
    "goals",
    "growth",
    "largest_gaps",
    "ledger",
    "legend",
    "mean_gaps",
    "network",
    "open_choices",
    "precision",
    "provenance",
    "readings",
    "replay_gaps",
    "results",
    "settings",
    "shade",
    "verdict_counts",
]
