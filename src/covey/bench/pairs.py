"""Ratios of paired measurements: the median, a bootstrap interval, and the spread over repetitions.

Pure statistics; knows nothing of what the numbers are.

    paired_ratio([[1.4, 1.5], [1.2, 1.3]])      # two groups, two repetitions each
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

RESAMPLES = 2000
CONFIDENCE = 0.95
_SEED = 20240607


def paired_ratio(ratios: Sequence[Sequence[float | None]]) -> dict[str, Any] | None:
    """The median of all ratios, with a percentile bootstrap interval and the medians of single repetitions.

    ratios[group][repetition]; None where there is no ratio. Groups are resampled with all their repetitions, because
    repetitions of one text are no independent evidence. With one group there is no interval (low and high are None).
    Returns None when there is no ratio at all.
    """
    table = np.array([[np.nan if ratio is None else ratio for ratio in group] for group in ratios], dtype=np.float64)  # [G, R]
    table = table[~np.isnan(table).all(axis=1)] if table.size else table.reshape(0, 0)
    if not len(table):
        return None
    by_repetition = [float(np.nanmedian(column)) for column in table.T if not np.isnan(column).all()]
    low, high = _interval(table) if len(table) > 1 else (None, None)
    return {
        "median": float(np.nanmedian(table)),
        "low": low,
        "high": high,
        "by_repetition": by_repetition,
        "groups": len(table),
        "pairs": int(np.count_nonzero(~np.isnan(table))),
    }


def _interval(table: np.ndarray) -> tuple[float, float]:
    """Percentile bootstrap of the median, resampling rows."""
    generator = np.random.default_rng(_SEED)
    chosen = generator.integers(len(table), size=(RESAMPLES, len(table)))
    resampled = table[chosen].reshape(RESAMPLES, -1)  # [RESAMPLES, G * R]
    median = np.nanmedian if np.isnan(table).any() else np.median
    low, high = np.quantile(median(resampled, axis=1), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)
