"""A learned scorer as it is kept: plain JSON, its numbers to the last bit, with a card of what it was trained on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from polythink.selectors.embeddings import EMBEDDED
from polythink.selectors.features import AGREEMENT, KEPT, MODELS, SPREAD, TRACE_FEATURES
from polythink.selectors.learning import Linear
from polythink.selectors.panel import Logits, Reals

_FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ScorerModel:
    """A linear model over named features."""

    names: tuple[str, ...]  # [F]
    linear: Linear
    embed: str | None = None  # the function whose vectors are among the features
    trained_on: str | None = None  # the job whose samples it learned from
    taken_from: str | None = None  # what `from` called it; None where it was trained in the job that keeps it

    @property
    def kept(self) -> tuple[str, ...]:
        """The selectors whose kept scores it looks at."""
        return tuple(name.removeprefix(KEPT) for name in self.names if name.startswith(KEPT))

    def split(self, features: Mapping[str, Reals]) -> tuple[Logits, Reals]:
        """The log-odds of S samples by what they depend on, and those that all samples at hand give, [S].

        A vote that is the only one meets average agreement.
        """
        samples = len(features[AGREEMENT])
        own, moving = np.full(samples, self.linear.bias), {}
        numbers = zip(self.names, self.linear.weights, self.linear.means, self.linear.scales, strict=True)
        for name, weight, mean, scale in numbers:
            if name in (AGREEMENT, SPREAD):
                own -= weight / scale * mean
                moving[name] = (np.full(samples, weight / scale), np.nan_to_num(features[name], nan=mean))
            else:
                own += weight * np.nan_to_num((features[name] - mean) / scale)
        (by_share, share), (by_spread, spread) = moving[AGREEMENT], moving[SPREAD]
        logits = Logits(own=own, by_share=by_share, by_spread=by_spread)
        return logits, own + by_share * share + by_spread * spread


def feature_names(kept: Sequence[str], embedded: Iterable[str] = ()) -> tuple[str, ...]:
    """What a new model looks at, where these selectors' kept scores and these numbers of vectors are features too."""
    return (*TRACE_FEATURES, *(f"{KEPT}{name}" for name in kept), *embedded, AGREEMENT, SPREAD)


def model_file(name: str) -> str:
    """Where a job keeps the model of the selector of that name."""
    return f"{MODELS}{name}.json"


def to_json(model: ScorerModel, card: Mapping[str, Any]) -> str:
    """The model and its card; the same for the same."""
    linear = model.linear
    columns = zip(model.names, linear.weights.tolist(), linear.means.tolist(), linear.scales.tolist(), strict=True)
    features = [{"name": name, "weight": w, "mean": m, "scale": s} for name, w, m, s in columns]
    whole = {"format": _FORMAT, **card, "embed": model.embed, "bias": linear.bias, "features": features}
    return json.dumps(whole, ensure_ascii=False, indent=1) + "\n"


def as_taken(text: str, source: str) -> str:
    """A model as a job keeps it that took it from there. Raises ValueError for what is not JSON."""
    return json.dumps({**json.loads(text), "taken_from": source}, ensure_ascii=False, indent=1) + "\n"


def from_json(text: str) -> ScorerModel:
    """The model, exactly as it was. Raises ValueError for anything else."""
    try:
        kept = json.loads(text)
        if kept["format"] != _FORMAT:
            raise ValueError(f"found format {kept['format']!r}; wanted {_FORMAT}")
        features = kept["features"]
        columns = {name: np.array([float(f[name]) for f in features]) for name in ("weight", "mean", "scale")}
        names, bias = tuple(str(feature["name"]) for feature in features), float(kept["bias"])
        embed = None if kept.get("embed") is None else str(kept["embed"])
        trained_on, taken_from = kept.get("trained_on", {}).get("job_id"), kept.get("taken_from")
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"not the model of a scorer: {error!r}") from error
    prefixes = (KEPT,) if embed is None else (KEPT, EMBEDDED)
    unknown = [name for name in names if name not in feature_names(()) and not name.startswith(prefixes)]
    if unknown or not {AGREEMENT, SPREAD} <= set(names) or not (columns["scale"] > 0).all():
        raise ValueError(f"not the model of a scorer: unusable features {', '.join(unknown or names)}")
    linear = Linear(bias=bias, weights=columns["weight"], means=columns["mean"], scales=columns["scale"])
    return ScorerModel(names=names, linear=linear, embed=embed, trained_on=trained_on, taken_from=taken_from)
