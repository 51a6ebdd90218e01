"""Every way a job file can be wrong is told of with its path, its line, what was found and what would be right."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from polythink.errors import SpecError, SpecIssue
from polythink.jobs.load import load_job, load_job_model
from polythink.jobs.spec import Job

ROWS = '{"id": 1, "question": "1+1?", "gold": 2}\n{"id": 2, "question": "2+2?", "gold": 4}\n'

# The line of each top-level field is fixed, so that a test can replace one and know where it stands.
LINES = {
    "name": "name: sums",
    "problems": "problems: {path: rows.jsonl}",
    "prompt": 'prompt: {template: "{{ question }}"}',
    "arms": "arms: [{model: claude-haiku-4-5, reasoning: {budget_tokens: 2048}}]",
    "samples": "samples: 2",
    "more": "retries: 3",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rows.jsonl").write_text(ROWS)
    return tmp_path


def issues_of(folder: Path, **replaced: str) -> list[SpecIssue]:
    """The issues of the sound job file with some of its lines replaced."""
    path = folder / "job.yaml"
    path.write_text("\n".join((LINES | replaced).values()) + "\n", encoding="utf-8")
    with pytest.raises(SpecError) as caught:
        load_job(path)
    return list(caught.value.issues)


def test_the_sound_job_file_loads(folder: Path) -> None:
    (folder / "job.yaml").write_text("\n".join(LINES.values()))
    job = load_job(folder / "job.yaml")
    assert (len(job.problems), [arm.arm_id for arm in job.arms], job.total) == (2, ["haiku-4-5.budget-2048"], 4)


ARM = "arms: [{{model: {}, reasoning: {}}}]"


@pytest.mark.parametrize(
    ("line", "text", "path", "found", "wanted"),
    [
        # shapes and types
        ("name", "name: Two Words", "name", '"Two Words"', "a name that matches"),
        ("name", "name: 7", "name", "7", "a text"),
        ("more", "sampels: 3", "sampels", "unknown field", "did you mean `samples`?"),
        ("more", "cap: {uds: 3}", "cap.usd", "nothing", "required"),
        ("problems", "problems: {path: rows.jsonl, limt: 3}", "problems.limt", "unknown field", "`limit`"),
        ("samples", "samples: many", "samples", '"many"', "a whole number"),
        ("samples", "samples: 0", "samples", "0", "at least 1"),
        ("samples", "samples: true", "samples", "true", "a whole number"),
        ("more", "cap: {usd: -1}", "cap.usd", "-1", "a number above 0"),
        ("more", "max_tokens: lots", "max_tokens", '"lots"', "auto"),
        ("more", "workers: [1]", "workers", "a list of 1", "auto, or a whole number"),
        ("arms", "arms: 3", "arms", "3", "a list of arms, or {grid"),
        ("arms", "arms: []", "arms", "a list of 0", "at least one item"),
        ("arms", ARM.format("claude-haiku-4-5", "deep"), "arms[0].reasoning", '"deep"', "'none' or 'adaptive'"),
        ("arms", ARM.format("claude-haiku-4-5", "[1]"), "arms[0].reasoning", "a list of 1", "one of none, adaptive"),
        (
            "arms",
            ARM.format("claude-haiku-4-5", "{budget_token: 2048}"),
            "arms[0].reasoning.budget_token",
            "unknown field",
            "did you mean `budget_tokens`?",
        ),
        ("more", "lane: slow", "lane", '"slow"', "live"),
        ("more", "samples: 3", "samples", "a second time, first on line 5", "say it once"),
        ("more", "more: [", "(file)", "invalid YAML", "valid YAML"),
        # answers, selectors, grading
        ("more", 'answer: {extract: {regex: "(("}}', "answer.extract.regex", '"(("', "a regular expression"),
        ("more", "answer: {extract: {json: a..b}}", "answer.extract.json", '"a..b"', "a dotted path"),
        ("more", "answer: {extract: box}", "answer.extract", '"box"', "'boxed'"),
        ("more", "select: [majority, majorty]", "select[1]", '"majorty"', "majority"),
        ("more", 'grade: {python: "grade.py:f"}', "grade.python", '"grade.py:f"', "no such file"),
        # models and what they take
        (
            "arms",
            ARM.format("claude-haiku-4-5", "{budget_tokens: 512}"),
            "arms[0].reasoning.budget_tokens",
            "512",
            "an integer of at least 1024",
        ),
        (
            "arms",
            "arms: [{model: own, reasoning: {budget_tokens: 2048}, max_tokens: 2048}]",
            "arms[0].reasoning.budget_tokens",
            "2048 with max_tokens 2048",
            "less than max_tokens",
        ),
        (
            "arms",
            ARM.format("claude-opus-5", "{budget_tokens: 2048}"),
            "arms[0].reasoning",
            "budget_tokens: 2048 with claude-opus-5",
            "claude-opus-5 takes none, adaptive, effort",
        ),
        ("arms", ARM.format("claude-haiku-4-5", "adaptive"), "arms[0].reasoning", "adaptive with", "budget_tokens"),
        ("arms", ARM.format("claude-haiku-4-5", "{effort: high}"), "arms[0].reasoning", "effort: high with", "none"),
        ("arms", ARM.format("claude-opus-4-6", "{effort: xhigh}"), "arms[0].reasoning", "effort: xhigh", "max"),
        ("arms", ARM.format("claude-opus-5-5", "off"), "arms[0].reasoning", "none with", "adaptive"),
        ("arms", ARM.format("claude-haiku-45", "none"), "arms[0].model", "claude-haiku-45", "`claude-haiku-4-5`"),
        ("more", "max_tokens: 70000", "max_tokens", "70000 with claude-haiku-4-5", "at most 64000"),
        # endpoints and money
        ("more", "endpoint: {api_key_env: MY-KEY}", "endpoint.api_key_env", '"MY-KEY"', "environment variable"),
        ("more", "endpoint: {base_url: localhost}", "endpoint.base_url", '"localhost"', "a URL such as"),
        ("more", "endpoint: {a: {}, b: {}}", "arms[0]", "no endpoint", "one of a, b"),
        ("more", "endpoint: {a: {}, b: {base: x}}", "endpoint.b.base", "unknown field", "did you mean `base_url`?"),
        # templates
        ("prompt", 'prompt: {template: "{{ qestion }}"}', "prompt.template", "`qestion`", "did you mean `question`?"),
        ("prompt", 'prompt: {system: "{% if %}", template: "x"}', "prompt.system", "error on its line 1", "xpected"),
        # problem files
        ("problems", "problems: {path: row.jsonl}", "problems.path", '"row.jsonl"', "did you mean `rows.jsonl`?"),
        ("problems", 'problems: {path: [rows.jsonl, "*.csv"]}', "problems.path[1]", '"*.csv"', "a file or glob"),
    ],
)
def test_what_is_wrong_is_told_at_its_place(
    folder: Path, line: str, text: str, path: str, found: str, wanted: str
) -> None:
    issues = issues_of(folder, **{line: text})
    (issue,) = [issue for issue in issues if issue.path == path]
    assert issue.file == str(folder / "job.yaml")
    assert found in issue.found
    assert wanted in issue.wanted
    assert issue.line == line_of(issue.path, LINES | {line: text})


def line_of(path: str, lines: dict[str, str]) -> int:
    """The last line that says the top-level field of a path; of the whole file the line after its last."""
    field = path.partition("[")[0].partition(".")[0]
    said = [number for number, text in enumerate(lines.values(), start=1) if text.startswith(f"{field}:")]
    return said[-1] if said else len(lines) + 1


def test_every_issue_is_told_at_once(folder: Path) -> None:
    issues = issues_of(
        folder,
        name="name: 7",
        problems="problems: {path: missing.jsonl}",
        arms=ARM.format("claude-haiku-4-5", "{budget_tokens: 1}"),
        samples="samples: x",
        more="retrys: 3",
    )
    assert [(issue.line, issue.path) for issue in issues] == [
        (1, "name"),
        (2, "problems.path"),
        (4, "arms[0].reasoning.budget_tokens"),
        (5, "samples"),
        (6, "retrys"),
    ]


def test_lines_are_those_of_the_place_inside_a_block(folder: Path) -> None:
    arms = "arms:\n  grid:\n    model: [claude-haiku-4-5]\n    reasoning:\n      - none\n      - budget_tokens: 5"
    (issue,) = issues_of(folder, arms=arms)
    assert (issue.path, issue.line) == ("arms.grid.reasoning[1].budget_tokens", 9)


def test_arms_of_one_id_are_told_apart_by_the_user(folder: Path) -> None:
    arm = "  - {id: a, model: m, reasoning: none}"
    (issue,) = issues_of(folder, arms=f"arms:\n{arm}\n{arm}")
    assert (issue.path, issue.line) == ("arms[1].id", 6)
    assert "`a`" in issue.found and "of its own" in issue.wanted


def test_an_endpoint_that_is_not_there_is_suggested(folder: Path) -> None:
    arms = "arms: [{model: m, reasoning: none, endpoint: hme}]"
    (issue,) = issues_of(folder, arms=arms, more="endpoint: {home: {}, away: {}}")
    assert (issue.path, issue.line) == ("arms[0].endpoint", 4)
    assert "did you mean `home`?" in issue.wanted


def test_a_cap_needs_a_price(folder: Path) -> None:
    arms = "arms: [{model: own/model, reasoning: none}]"
    (issue,) = issues_of(folder, arms=arms, more="cap: {usd: 5}")
    assert (issue.path, issue.line) == ("cap.usd", 6)
    assert "own/model" in issue.found and "endpoint.prices" in issue.wanted
    priced = "endpoint: {prices: {input: 1, output: 2}}\ncap: {usd: 5}"
    (folder / "job.yaml").write_text("\n".join((LINES | {"arms": arms, "more": priced}).values()))
    assert load_job(folder / "job.yaml").job.cap is not None


def test_a_model_newer_than_the_facts_runs_once_its_prices_are_given(folder: Path) -> None:
    arms = "arms: [{model: claude-haiku-9, reasoning: none}]"
    (issue,) = issues_of(folder, arms=arms)
    assert issue.path == "arms[0].model" and "endpoint.prices" in issue.wanted
    more = "endpoint: {prices: {input: 1, output: 2}}"
    (folder / "job.yaml").write_text("\n".join((LINES | {"arms": arms, "more": more}).values()))
    assert load_job(folder / "job.yaml").arms[0].model == "claude-haiku-9"


KEY = "sk-ant-" + "a1" * 12


@pytest.mark.parametrize(
    "more",
    [
        f"endpoint: {{api_key_env: {KEY}}}",
        f"endpoint: {{api_key: {KEY}}}",
        f"# {KEY}",
        f"{KEY}: 1",
        f"endpoint: {{base_url: 'http://me:{KEY}@host'}}",
        f'archive: "{KEY}" x',
    ],
)
def test_a_key_is_refused_and_never_repeated(folder: Path, more: str) -> None:
    issues = issues_of(folder, more=more)
    assert any("key" in issue.wanted for issue in issues)
    assert {issue.line for issue in issues} == {6}
    assert KEY not in str(SpecError(tuple(issues)))


def test_a_password_in_a_url_is_refused_and_never_repeated(folder: Path) -> None:
    (issue,) = issues_of(folder, more="endpoint: {base_url: 'http://me:hunter2@host'}")
    assert issue.path == "endpoint.base_url"
    assert "hunter2" not in str(issue)


def test_rows_that_do_not_fit_the_template_are_named(folder: Path) -> None:
    (folder / "rows.jsonl").write_text(ROWS + '{"id": 3}\n{"id": 4, "question": " "}\n')
    first, second = issues_of(folder)
    assert (first.path, first.line, first.file) == ("prompt.template", 3, str(folder / "rows.jsonl"))
    assert "'question' is undefined" in first.found
    assert (second.line, second.found) == (4, "an empty prompt")


def test_a_grading_function_that_is_there_is_found_beside_the_job_file(folder: Path) -> None:
    (folder / "grade.py").write_text("def f(answer, problem):\n    return answer == problem['gold']\n")
    (issue,) = issues_of(folder, more='grade: {python: "grade.py:g"}')
    assert issue.path == "grade.python" and issue.line == 6
    (folder / "job.yaml").write_text("\n".join((LINES | {"more": 'grade: {python: "grade.py:f"}'}).values()))
    assert load_job(folder / "job.yaml").grade_function == f"{folder.resolve() / 'grade.py'}:f"


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "just text"])
def test_a_file_that_is_no_mapping_is_one_issue(tmp_path: Path, text: str) -> None:
    (tmp_path / "job.yaml").write_text(text)
    with pytest.raises(SpecError) as caught:
        load_job(tmp_path / "job.yaml")
    (issue,) = caught.value.issues
    assert "a mapping with the fields name" in issue.wanted


@pytest.mark.parametrize("text", ["name: a\x00b", "name: [" * 5000, "name: 2026-99-99", "a: &a [*b]", "--- a\n--- b"])
def test_text_that_is_no_yaml_is_one_issue(tmp_path: Path, text: str) -> None:
    (tmp_path / "job.yaml").write_text(text)
    with pytest.raises(SpecError) as caught:
        load_job(tmp_path / "job.yaml")
    (issue,) = caught.value.issues
    assert (issue.path, issue.file) == ("(file)", str(tmp_path / "job.yaml"))
    assert issue.found.startswith("invalid YAML")


def test_a_job_file_that_is_not_there_is_an_issue(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"none\.yaml"):
        load_job(tmp_path / "none.yaml")


def test_a_tower_of_aliases_is_refused_in_a_moment(tmp_path: Path) -> None:
    tower = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30))
    (tmp_path / "job.yaml").write_text(tower)
    with pytest.raises(SpecError) as caught:
        load_job(tmp_path / "job.yaml")
    assert caught.value.issues[-1].line == 30


def test_a_job_made_in_python_is_checked_alike(folder: Path) -> None:
    job = Job.model_validate(
        {
            "name": "j",
            "problems": {"path": "rows.jsonl"},
            "prompt": {"template": "{{ nothing }}"},
            "arms": [{"model": "claude-haiku-4-5", "reasoning": {"budget_tokens": 9}}],
        }
    )
    with pytest.raises(SpecError) as caught:
        load_job_model(job, folder)
    assert {(issue.path, issue.line, issue.file) for issue in caught.value.issues} == {
        ("arms[0].reasoning.budget_tokens", None, None),
        ("prompt.template", None, None),
    }
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
