"""What the figures show, said in a sentence each. Pure."""

from __future__ import annotations

from polythink.explorer.labels import NAME_CHARACTERS, arm_names, clipped, dollars, percent
from polythink.explorer.results import ArmFacts, CurvePoint, FrontierPoint, Results
from polythink.selectors.thinking import ThinkingFit

CLEAR_SLOPE = 0.005  # accuracy per doubling; a flatter line is called flat


def models(results: Results) -> list[str]:
    """Every model once, in the order of the arms."""
    return list(dict.fromkeys(arm.model for arm in results.arms))


def model_fits(results: Results) -> dict[str, ThinkingFit]:
    """The fitted line of each model that has one."""
    return {line.model: line.fit for line in results.lines}


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


def frontier_headline(results: Results) -> str:
    """Of accuracy over dollars: what the most accurate point costs, and what a tenth of that buys."""
    efficient = [point for point in results.frontier if point.is_efficient]
    best = max(efficient, key=lambda point: (point.accuracy, -point.usd_per_problem))
    said = f"{percent(best.accuracy)} right costs {dollars(best.usd_per_problem)} a problem"
    cheap = [point for point in efficient if point.usd_per_problem <= best.usd_per_problem / 10]
    return f"{said}, a tenth of that buys {percent(max(map(_accuracy, cheap)))}" if cheap else said


def _accuracy(point: FrontierPoint) -> float:
    return point.accuracy


def calibration_headline(results: Results) -> str:
    """Of accuracy over confidence: both on average, where the shown selector ends highest."""
    best = best_pick(results)
    found = next((each for each in results.calibrations if best and each.arm_id == best[0].arm_id), None)
    if found is None:
        return "Accuracy over confidence"
    name = clipped(arm_names(results.arms)[found.arm_id], NAME_CHARACTERS)
    claimed, got = percent(found.confidence), percent(found.accuracy)
    return f"With {name}, {results.selector} is {claimed} confident on average, and {got} right"
