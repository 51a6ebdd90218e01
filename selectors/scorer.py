"""The learned scorer: how likely each answer is right, by what was graded of other problems (Cobbe et al. 2021)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from polythink.selectors.embeddings import EMBEDDED, kept_embeddings
from polythink.selectors.features import AGREEMENT, SPREAD, agreement, matrix, own_features
from polythink.selectors.learning import Linear, NotTrainable, cross_fit, fold_of
from polythink.selectors.panel import ABSTAINS, Flags, Ints, Logits, Reals
from polythink.selectors.samples import Samples
from polythink.selectors.scorer_card import failures, quality
from polythink.selectors.scorer_model import ScorerModel, feature_names, from_json, model_file, to_json
from polythink.selectors.scorerk import probability
from polythink.selectors.votes import Ballot
from polythink.storage.archive import Archive

_TRUST = 0.1  # in a number of a vector: it tells problems apart, and few problems are soon told apart by heart
_WHOLE = -1  # in place of a fold: nothing of the problem is graded, and the model of all folds scores it
Ballots = Sequence[tuple[slice, Ballot]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """What a scorer says of S samples."""

    scores: Reals  # [S] chance of being right, 0..1; NaN of samples without an answer
    known: Flags  # [S] whether it could look at all that it looks at; false where a function is still to be asked
    logits: Logits  # [S]
    model: str | None  # to be kept; None if it was taken from another job


def learned_scores(
    archive: Archive,
    job_id: str,
    name: str,
    options: Mapping[str, Any],
    samples: Samples,
    ballots: Ballots,
    seed: int,
) -> Learned:
    """Scores by the scorer whose rows bear that name.

    Raises ValueError where there is too little to learn from, where a selector in `scores` has none, where `from`
    names a job whose model was not taken, and where the function of `embed` was asked about no sample yet.
    """
    ballot, label = _labels(ballots, len(samples))
    taken = _taken(archive, job_id, name, options["from"]) if options["from"] else None
    features = own_features(archive, job_id, samples, taken.kept if taken else options["scores"])
    features[AGREEMENT], features[SPREAD] = agreement(ballot, label)
    embedded, known = _embedded(archive, job_id, samples, taken.embed if taken else options["embed"])
    if taken:
        unknown = np.full(len(samples), np.nan)
        logits, log_odds = taken.split(dict.fromkeys(taken.names, unknown) | features | embedded)
        return Learned(scores=_chances(log_odds, label), known=known, logits=logits, model=None)
    names = feature_names(options["scores"], embedded)
    return _trained(job_id, names, options, features | embedded, samples, ballots, ballot, label, known, seed)


def embedder(archive: Archive, job_id: str, name: str, options: Mapping[str, Any]) -> str | None:
    """The function whose vectors the scorer of that name looks at, of its own or of the model that it has taken.

    Raises ValueError if the model cannot be read.
    """
    if not options["from"]:
        return options["embed"]  # type: ignore[no-any-return]  # checked to be a reference
    return _taken(archive, job_id, name, options["from"]).embed


def _embedded(archive: Archive, job_id: str, samples: Samples, function: str | None) -> tuple[dict[str, Reals], Flags]:
    """[S] features by the function, and [S] whether it was asked; all true without one."""
    if function is None:
        return {}, np.ones(len(samples), dtype=np.bool_)
    found, asked = kept_embeddings(archive, job_id, samples, function)
    if not asked.any():
        raise ValueError(f"embed: {function} was asked about no sample yet; `polythink select {job_id}` asks it")
    return found, asked


def _trained(
    job_id: str,
    names: tuple[str, ...],
    options: Mapping[str, Any],
    features: Mapping[str, Reals],
    samples: Samples,
    ballots: Ballots,
    ballot: Ints,
    label: Ints,
    known: Flags,
    seed: int,
) -> Learned:
    folds = options["folds"]
    graded = np.array([correct is not None for correct in samples.correct], dtype=np.bool_) & (label != ABSTAINS)
    graded &= samples.even  # of others there are more where a problem is hard
    right = np.array([correct is True for correct in samples.correct], dtype=np.bool_)
    families, problems = _family_names(samples), len(np.unique(samples.problem[graded]))
    places = fold_of([families[i] for i in np.flatnonzero(graded)], folds, seed)
    if len(places) < folds:
        kind = f"families, of {problems} problems," if len(places) < problems else "problems"
        raise NotTrainable(
            f"{len(places)} {kind} have graded answers, and {folds} folds need one each; grade more problems, set "
            "fewer `folds`, or take a model with `from`"
        )
    fold = np.array([places.get(family, _WHOLE) for family in families])
    found = cross_fit(matrix(features, names, graded), right[graded], fold[graded], folds, trust=_trust(names))
    logits, log_odds = _by_fold(names, dict(enumerate(found.folds)) | {_WHOLE: found.whole}, features, fold)
    scores = _chances(log_odds, label)
    card = {
        "trained_on": {
            "job_id": job_id,
            "problems": problems,
            "families": len(places),
            "samples": int(graded.sum()),
            "right": int(right[graded].sum()),
            "folds": folds,
            "seed": seed,
        },
        "out_of_fold": quality(scores[graded], right[graded], ballot[graded]),
        "against_majority": failures(samples, ballots, scores, graded),
    }
    model = to_json(ScorerModel(names=names, linear=found.whole, embed=options["embed"]), card)
    return Learned(scores=scores, known=known, logits=logits, model=model)


def _family_names(samples: Samples) -> list[str]:
    """[S] the family of each sample's problem, by the first id in it: a problem of its own family by its own."""
    first: dict[int, str] = {}
    for family, problem_id in zip(samples.family.tolist(), samples.problem_id, strict=True):
        first[family] = min(problem_id, first.get(family, problem_id))
    return [first[family] for family in samples.family.tolist()]


def _trust(names: Sequence[str]) -> Reals:
    return np.array([_TRUST if name.startswith(EMBEDDED) else 1.0 for name in names])


def _by_fold(
    names: tuple[str, ...], models: Mapping[int, Linear], features: Mapping[str, Reals], fold: Ints
) -> tuple[Logits, Reals]:
    """Each sample by the model of its fold."""
    columns = np.full((4, len(fold)), np.nan)
    for number, linear in models.items():
        inside = fold == number
        own = {name: features[name][inside] for name in names}
        logits, log_odds = ScorerModel(names=names, linear=linear).split(own)
        columns[:, inside] = logits.own, logits.by_share, logits.by_spread, log_odds
    return Logits(own=columns[0], by_share=columns[1], by_spread=columns[2]), columns[3]


def _chances(log_odds: Reals, label: Ints) -> Reals:
    return np.where(label == ABSTAINS, np.nan, probability(log_odds))


def _labels(ballots: Ballots, samples: int) -> tuple[Ints, Ints]:
    """[S] the ballot of each sample, and [S] its answer class."""
    ballot, label = np.zeros(samples, dtype=np.int64), np.full(samples, ABSTAINS, dtype=np.int64)
    for number, (span, each) in enumerate(ballots):
        numbers: dict[str, int] = {}
        forms = [vote.canonical_answer for vote in each.votes]
        label[span] = [ABSTAINS if form is None else numbers.setdefault(form, len(numbers)) for form in forms]
        ballot[span] = number
    return ballot, label


def _taken(archive: Archive, job_id: str, name: str, source: str) -> ScorerModel:
    text = archive.read_text(job_id, model_file(name))
    model = None if text is None else from_json(text)
    if model is None or model.taken_from != source or model.trained_on == job_id:
        raise ValueError(f"from: no model was taken from {source}; select by it once more")
    return model
