"""Coverage problem by problem: how often some sample of n is right, and how often the vote finds it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from polythink.selectors.curves import CurveFunction, grid
from polythink.selectors.panel import Ints, Panel, Reals
from polythink.selectors.passk import pass_curve
from polythink.storage.schema import COVERAGE


def coverage_rows(
    panels: Mapping[str, Panel], problem_ids: Mapping[str, list[str]], majority: CurveFunction
) -> pa.Table:
    """The rows of `coverage`: every problem of every arm, at each n of the curves' grid and at all of its samples.

    Args:
        panels: by arm_id.
        problem_ids: by arm_id, of each problem of its panel.
        majority: the curve of the vote.
    """
    parts = [_arm_rows(arm_id, panel, problem_ids[arm_id], majority) for arm_id, panel in panels.items()]
    return pa.concat_tables([COVERAGE.arrow.empty_table(), *parts])


def _arm_rows(arm_id: str, panel: Panel, problem_ids: list[str], majority: CurveFunction) -> pa.Table:
    ks = grid(int(panel.samples.max()))
    counts = np.column_stack([np.tile(ks, (len(panel.samples), 1)), panel.samples])
    passes = np.column_stack([pass_curve(panel, ks).values, panel.correct > 0])
    votes = np.column_stack([majority(panel, ks).values, vote_of_all(panel)])
    passes[:, -1][np.isin(panel.samples, ks)] = np.nan  # all of its samples are a point of the grid
    problem, column = np.nonzero(~np.isnan(passes))
    found, voted = passes[problem, column], votes[problem, column]
    columns = {
        "problem_id": pa.array(problem_ids).take(pa.array(problem)),
        "arm_id": pa.repeat(arm_id, len(problem)),
        "n": counts[problem, column],
        "right_share": (panel.correct / panel.samples)[problem],
        "pass_at_n": found,
        "majority_at_n": voted,
        "gap": found - voted,
        "entropy": vote_entropy(panel)[problem],
        "classes": np.diff(panel.starts)[problem],
    }
    return pa.table(columns, schema=COVERAGE.arrow)


def vote_of_all(panel: Panel) -> Reals:
    """[P] correctness of the vote of all samples of a problem, ties shared; 0 where none was cast."""
    owner = _class_owner(panel)
    most = np.zeros(len(panel.samples), dtype=np.int64)
    np.maximum.at(most, owner, panel.votes)
    leads = panel.votes == most[owner]
    shares = np.bincount(owner, leads * panel.right / panel.votes, minlength=len(most))
    return np.asarray(shares / np.maximum(np.bincount(owner, leads, minlength=len(most)), 1))


def vote_entropy(panel: Panel) -> Reals:
    """[P] Shannon entropy of the votes cast over their classes, in bits; 0 where none was cast."""
    owner = _class_owner(panel)
    share = panel.votes / panel.voters[owner]
    bits = np.bincount(owner, share * np.log2(1 / share), minlength=len(panel.samples))
    return np.asarray(bits)


def _class_owner(panel: Panel) -> Ints:
    """[C] the problem of each class."""
    return np.repeat(np.arange(len(panel.samples)), np.diff(panel.starts))
