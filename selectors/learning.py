"""A standardised logistic regression, fitted so that no problem is ever scored by a model that saw it. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from polythink.selectors.panel import Flags, Ints, Reals

FEWEST_FOLDS = 3  # a calibration needs two folds beside the one that is scored
MOST_FOLDS = 20  # models are fitted for every two of them
_PENALTY = 1.0  # C of scikit-learn: of the squared weights, against the loss summed over samples
_CONSTANT = 1e-9  # relative; a feature that varies by less is one number, rounded in several ways
_TOLERANCE = 1e-10  # on the gradient; Newton steps reach it in few iterations


class NotTrainable(ValueError):
    """There is too little to learn from; the message names the fix."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Linear:
    """Log-odds as bias + sum of weight * (feature - mean) / scale; a feature that is not known adds nothing."""

    bias: float
    weights: Reals  # [F]
    means: Reals  # [F]
    scales: Reals  # [F] above 0

    def log_odds(self, features: Reals) -> Reals:
        """[S] of [S, F]."""
        standard = np.nan_to_num((features - self.means) / self.scales)
        return np.asarray(self.bias + standard @ self.weights)

    def calibrated(self, slope: float, shift: float) -> Linear:
        """The model whose log-odds are slope times these, plus shift."""
        return replace(self, bias=slope * self.bias + shift, weights=slope * self.weights)


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossFitted:
    """One model for each fold, which never saw it, and one of all that is graded for what nobody graded."""

    folds: tuple[Linear, ...]
    whole: Linear


def fold_of(problem_ids: Sequence[str], folds: int, seed: int) -> dict[str, int]:
    """The fold of each problem: folds of equal size, to within one, drawn by a hash of seed and id."""
    order = sorted(set(problem_ids), key=lambda name: hashlib.blake2b(f"{seed} {name}".encode()).digest())
    return {name: place % folds for place, name in enumerate(order)}


def cross_fit(features: Reals, right: Flags, fold: Ints, folds: int, *, trust: Reals | None = None) -> CrossFitted:
    """Calibrated models by folds.

    A fold's model is fitted on all others and calibrated (Platt 1999) on what models of these others but one said of
    that one; so nothing of the fold is in either. Raises NotTrainable if the samples outside any two folds are all
    right or all wrong.

    Args:
        features: [S, F], NaN where not known.
        right: [S]
        fold: [S] from 0 to folds - 1; all samples of a problem in the same.
        folds: at least FEWEST_FOLDS.
        trust: [F] above 0; a weight of half the trust costs four times the penalty. None: 1 for all.
    """
    _check(right, fold, folds)
    trust = np.ones(features.shape[1]) if trust is None else trust
    without: dict[tuple[int, ...], Linear] = {
        (f,): _fit(features[fold != f], right[fold != f], trust) for f in range(folds)
    }
    for pair in combinations(range(folds), 2):
        outside = ~np.isin(fold, pair)
        without[pair] = _fit(features[outside], right[outside], trust)
    whole = _fit(features, right, trust)
    calibrated = []
    for f in range(folds):
        unseen = {g: without[min(f, g), max(f, g)] for g in range(folds) if g != f}
        calibrated.append(_calibrated(without[f,], features, right, fold, unseen))
    outer = {f: without[f,] for f in range(folds)}
    return CrossFitted(folds=tuple(calibrated), whole=_calibrated(whole, features, right, fold, outer))


def _check(right: Flags, fold: Ints, folds: int) -> None:
    if right.all() or not right.any():
        said = "right" if right.all() else "wrong"
        raise NotTrainable(f"all {len(right):,} graded answers are {said}, and a scorer learns from both kinds")
    for pair in combinations(range(folds), 2):
        outside = right[~np.isin(fold, pair)]
        if outside.all() or not outside.any():
            raise NotTrainable(
                f"without two of {folds} folds the graded answers are all {'right' if outside.any() else 'wrong'}; "
                "grade more problems, or set more folds"
            )


def _calibrated(model: Linear, features: Reals, right: Flags, fold: Ints, unseen: dict[int, Linear]) -> Linear:
    """The model under Platt's map, fitted on what these models say of the folds that they did not see."""
    said, truth = [], []
    for number, other in unseen.items():
        said.append(other.log_odds(features[fold == number]))
        truth.append(right[fold == number])
    log_odds, rights = np.concatenate(said), np.concatenate(truth)
    found = _regression(log_odds[:, None], rights)
    slope, shift = float(found.coef_[0, 0]), float(found.intercept_[0])
    if slope <= 0:  # what it learned does not carry over to other problems: it says the share that is right
        share = float(rights.mean())
        slope, shift = 0.0, float(np.log(share / (1 - share)))
    return model.calibrated(slope, shift)


def _fit(features: Reals, right: Flags, trust: Reals) -> Linear:
    known = ~np.isnan(features)
    counts = np.maximum(known.sum(axis=0), 1)
    means = np.where(known, features, 0.0).sum(axis=0) / counts
    spread = np.sqrt((np.where(known, features - means, 0.0) ** 2).sum(axis=0) / counts)
    scales = np.where(spread > _CONSTANT * np.maximum(1.0, np.abs(means)), spread, 1.0)
    found = _regression(np.nan_to_num((features - means) / scales) * trust, right)
    return Linear(bias=float(found.intercept_[0]), weights=found.coef_[0] * trust, means=means, scales=scales)


def _regression(features: Reals, right: Flags):  # type: ignore[no-untyped-def]  # scikit-learn has no types
    from sklearn.linear_model import LogisticRegression  # takes a second to import

    model = LogisticRegression(C=_PENALTY, solver="newton-cholesky", tol=_TOLERANCE, max_iter=1_000)
    return model.fit(features, right)
