"""What a learned scorer looks at: counts out of each trace, how far the votes agree, and scores that are kept.

Nothing here comes from gold or a verdict.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from polythink.selectors.panel import ABSTAINS, Flags, Ints, Reals
from polythink.selectors.reading import CUT_SHORT
from polythink.selectors.samples import Samples
from polythink.selectors.sources import aligned
from polythink.storage.archive import Archive

AGREEMENT, SPREAD = "agreement", "spread"  # the two that depend on which other samples are at hand
KEPT = "score:"  # before the name of a selector whose kept scores are a feature
_HEDGES = r"(?i)\b(wait|hmm+|actually|maybe|perhaps|probably|not sure|unclear|on second thought)\b"
_CHECKS = r"(?i)\b(verif(y|ies|ied|ying)|(double|sanity)[- ]?check\w*|check(ing|ed)? (that|this|it|my|our|the|by|if)\b)"
_CUT = ", ".join(f"'{reason}'" for reason in sorted(CUT_SHORT))


def _length(text: str) -> str:
    return f"ln(1 + coalesce({text}, 0))"


def _hedges(column: str) -> str:
    """Per 1,000 words, which white space divides."""
    words = f"(1 + length({column}) - length(translate({column}, ' \n\t', '')))"
    return f"1000 * len(regexp_extract_all({column}, '{_HEDGES}')) / {words}"


TRACE_FEATURES: Mapping[str, str] = {  # SQL over a row of traces
    "answer_length": _length("length(answer)"),  # log of characters
    "text_length": _length("length(text)"),
    "thinking_length": _length("length(thinking)"),
    "thinking_tokens": "ln(1 + thinking_tokens)",
    "output_tokens": "ln(1 + output_tokens)",
    "hedges_in_thinking": _hedges("thinking"),
    "hedges_in_text": _hedges("text"),
    "verified": f"regexp_matches(concat_ws(' ', thinking, text), '{_CHECKS}')::INT",
    "cut_short": f"coalesce(stop_reason IN ({_CUT}), false)::INT",
}
_QUERY = (
    "SELECT problem_id, arm_id, sample_index, "
    + ", ".join(f"({sql})::DOUBLE AS {name}" for name, sql in TRACE_FEATURES.items())
    + " FROM traces WHERE job_id = ? AND outcome = 'answered'"
)
_KEPT_QUERY = "SELECT problem_id, arm_id, sample_index, score FROM scores WHERE job_id = ? AND selector = ?"
_SOURCES = "SELECT selector, min(source) AS source FROM scores WHERE job_id = ? GROUP BY selector ORDER BY selector"
_GRADED = "SELECT count(score) AS n FROM traces WHERE job_id = ? AND lane <> 'imported'"
_NAMES_SCORE = re.compile(r"(?i)\bscore\b")
MODELS = "scorers/"  # sources that start so are learned


def own_features(archive: Archive, job_id: str, samples: Samples, kept: Sequence[str]) -> dict[str, Reals]:
    """[S] each feature of a sample's own by name, NaN where it is not known.

    `kept` names selectors whose scores in the archive are features too. Raises ValueError for one that has none, that
    is learned itself, or that goes by what a grading function said.
    """
    _check_kept(archive, job_id, kept)
    with archive.connect("traces scores") as connection:
        found = aligned(connection, samples, _QUERY, [job_id])
        for name in kept:
            found[f"{KEPT}{name}"] = aligned(connection, samples, _KEPT_QUERY, [job_id, name])["score"]
    return found


def _check_kept(archive: Archive, job_id: str, kept: Sequence[str]) -> None:
    if not kept:
        return
    sources = {row["selector"]: row["source"] for row in archive.sql(_SOURCES, [job_id]).to_pylist()}
    for name in kept:
        if name not in sources:
            there = ", ".join(sources) or "none"
            raise ValueError(f"scores: no scores of `{name}` are kept; there are {there}. Select by it first")
        if sources[name].startswith(MODELS):
            raise ValueError(f"scores: `{name}` has learned from the verdicts it would help to foretell; leave it out")
        if _NAMES_SCORE.search(sources[name]) and archive.sql(_GRADED, [job_id])["n"][0].as_py():
            raise ValueError(f"scores: `{name}` goes by `score`, which the grading function gave; leave it out")


def agreement(ballot: Ints, label: Ints) -> tuple[Reals, Reals]:
    """[S] the share of its ballot's other votes that agree with a vote, and [S] the spread of that ballot's votes.

    Spread is classes but one over votes but one: 0 if all agree, 1 if no two do. Both NaN for a sample that abstains
    and for a vote that is the only one.

    Args:
        ballot: [S] which ballot, from 0.
        label: [S] answer class, any numbering within a ballot; ABSTAINS for none.
    """
    share, spread = np.full(len(label), np.nan), np.full(len(label), np.nan)
    cast = label != ABSTAINS
    if not cast.any():
        return share, spread
    votes = np.bincount(ballot[cast], minlength=int(ballot.max()) + 1)
    groups, member, size = np.unique(
        ballot[cast] * (int(label.max()) + 1) + label[cast], return_inverse=True, return_counts=True
    )
    classes = np.bincount(groups // (int(label.max()) + 1), minlength=len(votes))
    others = votes[ballot[cast]] - 1
    several = others > 0
    places = np.flatnonzero(cast)[several]
    share[places] = (size[member][several] - 1) / others[several]
    spread[places] = (classes[ballot[places]] - 1) / others[several]
    return share, spread


def matrix(features: Mapping[str, Reals], names: Sequence[str], chosen: Flags) -> Reals:
    """[C, F] the features of the chosen samples, in the order of the names."""
    return np.stack([features[name][chosen] for name in names], axis=1)
