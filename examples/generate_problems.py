"""Write the bundled problem files beside this module: `python -m polythink.examples.generate_problems`.

Every answer is computed, in most cases by two independent methods that must agree. The same seed gives the same
bytes. The order mixes families and levels evenly, so that any first part of a file is a fair sample of the whole.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

from polythink.examples import counting, digits, geometry, modular, number_theory, paths, probability, sequences
from polythink.examples.template import Template, agree

FOLDER = Path(__file__).parent
SEED = 20261123
SMALL_PROBLEMS = 24

TEMPLATES: tuple[Template, ...] = (
    *number_theory.TEMPLATES,
    *modular.TEMPLATES,
    *counting.TEMPLATES,
    *probability.TEMPLATES,
    *sequences.TEMPLATES,
    *geometry.TEMPLATES,
    *digits.TEMPLATES,
    *paths.TEMPLATES,
)

Row = dict[str, Any]


def competition_rows() -> list[Row]:
    """All competition problems: id, family, level (1..5), problem, answer."""
    written: list[tuple[str, Row]] = []
    texts: set[str] = set()
    numbers: Counter[str] = Counter()
    for kind, template in enumerate(TEMPLATES):
        for nth, level in enumerate(template.levels):
            rng = Random(f"{SEED}/{kind}/{nth}")
            draft = template.write(rng, level)
            while draft.text in texts:
                draft = template.write(rng, level)
            texts.add(draft.text)
            numbers[template.family] += 1
            problem_id = f"{template.family.replace(' ', '-')}-{numbers[template.family]:02d}"
            written.append((str(kind), _row(problem_id, template.family, level, draft.text, draft.answer)))
    return evenly_mixed(written, Random(SEED))


def _row(problem_id: str, family: str, level: int, problem: str, answer: int) -> Row:
    return {"id": problem_id, "family": family, "level": level, "problem": problem, "answer": str(answer)}


def evenly_mixed(written: list[tuple[str, Row]], rng: Random) -> list[Row]:
    """Each next row is the one whose family, level and kind of problem are furthest behind their share so far."""
    waiting = [((row["family"], row["level"], kind), row) for kind, row in rng.sample(written, len(written))]
    totals = Counter(trait for traits, _ in waiting for trait in traits)
    used: Counter[str | int] = Counter()
    ordered: list[Row] = []
    while waiting:
        shares = [sum(used[trait] / totals[trait] for trait in traits) for traits, _ in waiting]
        traits, row = waiting.pop(shares.index(min(shares)))
        used.update(traits)
        ordered.append(row)
    return ordered


def arithmetic_rows() -> list[Row]:
    """Sums, differences and products of two small numbers, for models of very few parameters."""
    rng = Random(SEED)
    rows: list[Row] = []
    while len(rows) < SMALL_PROBLEMS:
        level = len(rows) % 3 + 1
        sign = "+-x"[len(rows) // 3 % 3]
        problem, answer = _small_problem(rng, level, sign)
        if all(row["problem"] != problem for row in rows):
            rows.append(_row(f"arithmetic-{len(rows) + 1:02d}", "arithmetic", level, problem, answer))
    return rows


def _small_problem(rng: Random, level: int, sign: str) -> tuple[str, int]:
    low, high = {1: (2, 10), 2: (10, 30), 3: (20, 70)}[level]
    a, b = rng.randrange(low, high), rng.randrange(2, 10 if level < 3 else 40)
    if sign == "x":
        a, b = rng.randrange(2, 4 + 3 * level), rng.randrange(2, 10)
        return f"What is {a} times {b}?", agree(a * b, sum(a for _ in range(b)))
    if sign == "-":
        a, b = max(a, b) + 1, min(a, b)
        return f"What is {a} - {b}?", agree(a - b, len(range(b, a)))
    return f"What is {a} + {b}?", agree(a + b, len(range(-a, b)))


def as_jsonl(rows: list[Row]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def files() -> dict[str, str]:
    """File name to contents, of everything generated."""
    return {"competition.jsonl": as_jsonl(competition_rows()), "arithmetic.jsonl": as_jsonl(arithmetic_rows())}


def main() -> None:
    for name, contents in files().items():
        (FOLDER / name).write_text(contents, encoding="utf-8")
        print(f"{contents.count(chr(10)):4} problems  {FOLDER / name}")


if __name__ == "__main__":
    main()
