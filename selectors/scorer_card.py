"""The card of a learned scorer: what it was trained on, how good it is on problems it did not see, where it fails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from polythink.selectors.majority import Majority
from polythink.selectors.panel import Flags, Ints, Reals
from polythink.selectors.ranking import auc, bins, brier, calibration_error
from polythink.selectors.samples import Samples
from polythink.selectors.votes import Ballot

_MOST_NAMED = 5  # ballots of a kind, by their problems
_DIGITS = 6  # after the point: a card is read by people


def quality(chance: Reals, right: Flags, ballot: Ints) -> dict[str, Any]:
    """Of chances that were given out of fold, all [S]; a ballot is a problem in an arm, within which is picked."""
    found = bins(chance, right)
    share = float(right.mean())
    return {
        "auc": _rounded(auc(chance, right, np.zeros_like(ballot))),
        "auc_within_problems": _rounded(auc(chance, right, ballot)),
        "brier": _rounded(brier(chance, right)),
        "brier_of_the_share_right": _rounded(share * (1 - share)),
        "expected_calibration_error": _rounded(calibration_error(found)),
        "calibration": [
            {name: round(value, _DIGITS) if isinstance(value, float) else value for name, value in asdict(b).items()}
            for b in found
        ],
    }


def failures(
    samples: Samples, ballots: Sequence[tuple[slice, Ballot]], scores: Reals, trained: Flags
) -> dict[str, Any]:
    """In how many ballots picking the highest score loses and wins against a majority, and how it ranks in each arm.

    Of samples that are `even`, as trained.
    """
    lost: list[str] = []
    mended: list[str] = []
    both, neither = 0, 0
    for span, ballot in ballots:
        if not trained[span].any():
            continue
        places = np.flatnonzero(samples.even[span])
        even = replace(ballot, votes=tuple(ballot.votes[place] for place in places))
        best = even.votes[int(np.nanargmax(scores[span][places]))].correct is True
        voted = Majority(ties="first").select(even).correct is True
        if best == voted:
            both, neither = both + best, neither + (not best)
        else:
            (mended if best else lost).append(ballot.problem_id)
    right = np.array([correct is True for correct in samples.correct])
    arms = {samples.arm_id[arm.start]: np.flatnonzero(trained[arm]) + arm.start for arm in samples.arms()}
    return {
        "right_by_both": both,
        "right_by_neither": neither,
        "right_by_best_alone": len(mended),
        "right_by_majority_alone": len(lost),
        "lost_to_majority": lost[:_MOST_NAMED],
        "auc_within_problems_by_arm": {
            arm_id: _rounded(auc(scores[places], right[places], samples.problem[places]))
            for arm_id, places in arms.items()
            if len(places)
        },
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)
