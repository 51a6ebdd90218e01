"""The report: one HTML file that needs nothing else, not even a network or scripts."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from polythink.explorer import labels
from polythink.explorer.data import read_results
from polythink.explorer.figures import FIGURES, Figure, svg_of
from polythink.explorer.headlines import best_pick, models
from polythink.explorer.labels import NAME_CHARACTERS, clean, clipped
from polythink.explorer.problem_data import MAX_PROBLEMS
from polythink.explorer.results import OUTCOMES, ArmFacts, CurvePoint, Pick, ProblemFacts, Results
from polythink.explorer.theme import DARK, LIGHT
from polythink.selectors.registry import PASS
from polythink.storage.archive import Archive

TEMPLATES = Path(__file__).parent / "templates"
MAX_PAIRS = 20  # comparisons shown
TALLY_SHOWN = 8  # answer classes per pick
_SUMMARY_CHARACTERS = 110  # of a problem's text on its line


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """A number that stands at the top."""

    value: str
    meaning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmLine:
    """One row of the table of arms."""

    name: str
    facts: ArmFacts
    one: CurvePoint | None
    picked: CurvePoint | None
    bound: CurvePoint | None
    per_correct_usd: float | None  # money spent for each right sample


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """One figure in the ways a page needs it."""

    name: str
    variants: tuple[tuple[str, Markup], ...]  # class of the page it is for, SVG


def write_report(archive: Archive, job_id: str, path: str | Path) -> Path:
    """Write the report of a job given by id or name, and return where it is. Raises UnknownJobError."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(render(read_results(archive, job_id)), encoding="utf-8")
    return target


def render(results: Results) -> str:
    """The report as HTML. Whatever came from a model, a problem file or a server is escaped."""
    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined)
    environment.filters.update(
        percent=labels.percent, tokens=labels.tokens, dollars=labels.dollars, clean=clean, clipped=clipped
    )
    script = (TEMPLATES / "report.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template("report.html.j2").render(
        **_view(results),
        style=Markup((TEMPLATES / "report.css").read_text(encoding="utf-8")),
        script=Markup(script),
        script_digest=digest,
    )


def _view(results: Results) -> dict[str, Any]:
    """What the template names."""
    best = best_pick(results)
    names = {arm_id: clipped(name, NAME_CHARACTERS) for arm_id, name in labels.arm_names(results.arms).items()}
    return {
        "results": results,
        "job": results.job,
        "simulated": labels.simulated_note(results.minds, results.job.traces),
        "models": ", ".join(clipped(model, NAME_CHARACTERS) for model in models(results)),
        "names": names,
        "max_pairs": MAX_PAIRS,
        "points": lambda share: f"{100 * share:+.1f}",
        "tiles": _tiles(results),
        "figures": [drawn for name, figure in FIGURES.items() if (drawn := _drawn(name, figure, results))],
        "arms": [_arm_line(results, arm, names[arm.arm_id]) for arm in results.arms],
        "same_n": results.same_n(),
        "outcomes": OUTCOMES,
        "best_arm": best[0].arm_id if best else None,
        "verdict": _verdict,
        "is_wrong": _is_wrong,
        "band": lambda point: labels.band(point.low, point.high),
        "tally_shown": TALLY_SHOWN,
        "summary_characters": _SUMMARY_CHARACTERS,
        "max_problems": MAX_PROBLEMS,
        "queries": _queries(results),
    }


def _tiles(results: Results) -> list[Tile]:
    job, best = results.job, best_pick(results)
    tiles = []
    if best and results.selector:
        arm, end = best
        name = clipped(labels.arm_names(results.arms)[arm.arm_id], NAME_CHARACTERS)
        tiles.append(
            Tile(value=labels.percent(end.accuracy), meaning=f"right by {results.selector} of {end.n}, {name}")
        )
        if one := results.at_one(arm.arm_id):
            tiles.append(Tile(value=labels.percent(one.accuracy), meaning="right by one sample of the same arm"))
    tiles.append(
        Tile(value=f"{job.traces:,}", meaning=f"samples of {job.problems:,} problems in {len(results.arms)} arms")
    )
    cap = f" of a cap of {labels.dollars(job.cap_usd)}" if job.cap_usd else ""
    tiles.append(Tile(value=labels.dollars(job.spent_usd), meaning=f"spent{cap}"))
    return tiles


def _arm_line(results: Results, arm: ArmFacts, name: str) -> ArmLine:
    return ArmLine(
        name=name,
        facts=arm,
        one=results.at_one(arm.arm_id),
        picked=results.at_full_n(arm.arm_id, results.selector) if results.selector else None,
        bound=results.at_full_n(arm.arm_id, PASS),
        per_correct_usd=arm.cost_usd / arm.correct if arm.cost_usd is not None and arm.correct else None,
    )


def _drawn(name: str, figure: Figure, results: Results) -> Drawn | None:
    variants = []
    for theme in (LIGHT, DARK):
        for narrow in (False, True):
            svg = svg_of(figure, results, theme, narrow=narrow)
            if svg is None:
                return None
            variants.append((f"{theme.name} {'narrow' if narrow else 'wide'}", Markup(svg)))
    return Drawn(name=name, variants=tuple(variants))


def _verdict(correct: bool | None) -> str:
    """A class of the stylesheet, and a word."""
    return "ungraded" if correct is None else "right" if correct else "wrong"


def _is_wrong(problem: ProblemFacts, arm_id: str | None) -> bool:
    """Whether the arm's pick is anything but right."""
    picks: list[Pick] = [pick for pick in problem.picks if pick.arm_id == arm_id]
    return not any(pick.correct for pick in picks)


def _queries(results: Results) -> list[tuple[str, str]]:
    """Questions to go on with, and the SQL that answers each."""
    job = results.job.job_id.replace("'", "''")
    return [
        (
            "Where majority is wrong though some sample was right",
            "SELECT s.arm_id, s.problem_id, s.answer, s.votes, s.voters, p.gold\n"
            "FROM selections s JOIN problems p USING (job_id, problem_id)\n"
            f"WHERE job_id = '{job}' AND s.selector = 'majority' AND NOT s.correct AND EXISTS (\n"
            "  FROM traces t WHERE t.job_id = s.job_id AND t.arm_id = s.arm_id\n"
            "    AND t.problem_id = s.problem_id AND t.correct)\n"
            "ORDER BY s.confidence DESC LIMIT 20",
        ),
        (
            "The longest thinking that came to a wrong answer",
            "SELECT problem_id, arm_id, sample_index, thinking_tokens, answer, thinking\n"
            f"FROM traces WHERE job_id = '{job}' AND NOT correct ORDER BY thinking_tokens DESC LIMIT 5",
        ),
        (
            "Accuracy by how long a sample thought",
            "SELECT arm_id, floor(log2(thinking_tokens)) AS doubling, count(*) AS samples,\n  "
            "avg(correct::INT) AS accuracy\n"
            f"FROM traces WHERE job_id = '{job}' AND thinking_tokens > 0 GROUP BY ALL ORDER BY ALL",
        ),
    ]
