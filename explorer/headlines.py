"""What the figures show, said in a sentence each. Pure."""

from __future__ import annotations

from polythink.explorer.labels import NAME_CHARACTERS, arm_names, clipped, percent
from polythink.explorer.results import ArmFacts, CurvePoint, Results
from polythink.selectors.thinking import ThinkingFit, ThinkingPoint, fit_log2

CLEAR_SLOPE = 0.005  # accuracy per doubling; a flatter line is called flat


def points_of_model(results: Results, model: str) -> list[ThinkingPoint]:
    """The model's arms, from the least thinking to the most."""
    arm_ids = {arm.arm_id for arm in results.arms if arm.model == model}
    return sorted((p for p in results.thinking if p.arm_id in arm_ids), key=lambda p: p.mean_tokens)


def models(results: Results) -> list[str]:
    """Every model once, in the order of the arms."""
    return list(dict.fromkeys(arm.model for arm in results.arms))


def model_fits(results: Results) -> dict[str, ThinkingFit]:
    """The fitted line of each model that has one."""
    fits = {model: fit_log2(points_of_model(results, model)) for model in models(results)}
    return {model: fit for model, fit in fits.items() if fit is not None}


def thinking_headline(results: Results) -> str:
    """Of accuracy over thinking tokens."""
    fits = model_fits(results)
    if len(fits) == 1:
        return _slope_sentence(next(iter(fits.values())).slope)
    if fits:
        slopes = [fit.slope for fit in fits.values()]
        gains = f"{min(slopes) * 100:+.1f} to {max(slopes) * 100:+.1f}"
        return f"Each doubling of thinking changes accuracy by {gains} points, depending on the model"
    return "Accuracy over measured thinking"


def _slope_sentence(slope: float) -> str:
    if abs(slope) < CLEAR_SLOPE:
        return "Accuracy does not change with more thinking"
    change = "adds" if slope > 0 else "costs"
    return f"Each doubling of thinking {change} {abs(slope) * 100:.1f} points of accuracy"


def samples_headline(results: Results) -> str:
    """Of accuracy over samples: what the shown selector gains where it ends highest."""
    best = best_pick(results)
    if best is None or results.selector is None:
        return "Accuracy over samples"
    arm, end = best
    name, one = clipped(arm_names(results.arms)[arm.arm_id], NAME_CHARACTERS), results.at_one(arm.arm_id)
    if one is None or end.n == 1:
        return f"With {name}, one sample gets {percent(end.accuracy)} right"
    many = f"{results.selector} of {end.n} gets {percent(end.accuracy)} right"
    return f"With {name}, {many}, one sample {percent(one.accuracy)}"


def best_pick(results: Results) -> tuple[ArmFacts, CurvePoint] | None:
    """The arm on which the shown selector is right most often, and how often; None if nothing was selected."""
    if results.selector is None:
        return None
    ends = [(arm, results.at_full_n(arm.arm_id, results.selector)) for arm in results.arms]
    known = [(arm, end) for arm, end in ends if end is not None]
    return max(known, key=lambda pair: pair[1].accuracy, default=None)
