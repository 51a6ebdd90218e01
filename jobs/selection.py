"""Picking answers: the downstream stage with a job's own rules, from the archive alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from polythink.errors import SandboxError
from polythink.jobs import functions
from polythink.jobs.rewards import prepare, refused
from polythink.jobs.workload import Workload
from polythink.selectors.registry import SelectorConfig, parse_selector
from polythink.selectors.sandbox import check_function
from polythink.selectors.stage import Selected, select_job
from polythink.selectors.stage_rows import forget_selector, kept_selectors
from polythink.storage.archive import Archive

_OPTIONS_FILE = "selectors.json"  # the options of every selector that has rows, by name
_KIND = "selector"  # among these options, of one that goes by another name than its kind's


def select(archive: Archive, work: Workload, selectors: Sequence[object] | None) -> tuple[list[str], Selected]:
    """Write selections and curves by these selectors (None: the job's own); returns their names and the counts.

    Functions are asked about the samples that they have not scored yet; their files are relative to the working
    directory, and are kept with the job. Raises ValueError, with a suggestion, for a selector that is not known or is
    named twice, and for a function that cannot be loaded.
    """
    if selectors is not None:
        selectors = [_kept_functions(archive, work, value) for value in selectors]
    return _select(archive, work, chosen(work, selectors), prepares=True)


def _kept_functions(archive: Archive, work: Workload, value: object) -> object:
    """The selector with its functions as the archive calls them, and their files there."""
    for reference in functions.selector_functions([value], Path.cwd()):
        try:
            check_function(reference)
        except SandboxError as error:
            raise ValueError(f"a function that cannot be loaded: {error}") from error
        functions.copy(archive, work.job_id, reference)
    return functions.selector_as_kept(value, Path.cwd())


def chosen(work: Workload, selectors: Sequence[object] | None) -> list[SelectorConfig]:
    """These selectors (None: the job's own), checked. Raises ValueError."""
    return [parse_selector(value) for value in selectors or work.job.select]


def select_anew(archive: Archive, work: Workload, *, prepares: bool = False) -> Selected:
    """Bring every selection and curve of the job up to its traces.

    By the job's own selectors, and by every other that has rows, with the options these were made with. The rows of a
    selector that is no longer known are removed: they speak of fewer samples than there are. If it `prepares`,
    functions are asked first about the samples that they have not scored; else it reads the archive alone.
    """
    renewed = chosen(work, None)
    own, options = {selector.row_name for selector in renewed}, _read_options(archive, work)
    for name in kept_selectors(archive, work.job_id):
        if name in own:
            continue
        try:
            renewed.append(_recalled(name, options.get(name, {})))
        except ValueError:
            forget_selector(archive, work.job_id, name)
    return _select(archive, work, renewed, prepares=prepares)[1]


def notes(selected: Selected, job_id: str) -> tuple[str, ...]:
    """What is to be said of a selection: what went wrong with selectors, and what waits for a judge."""
    waiting = (unjudged_note(selected.unjudged, job_id),) if selected.unjudged else ()
    return (*(f"{name}: {reason}" for name, reason in selected.failed.items()), *selected.warnings, *waiting)


def unjudged_note(forms: int, job_id: str) -> str:
    """What to say of answers that no judge has yet put into classes."""
    return (
        f"{forms:,} answers stand each for itself until a judge has said which are the same: "
        f"`polythink select {job_id}` asks"
    )


def _select(
    archive: Archive, work: Workload, asked: Sequence[SelectorConfig], *, prepares: bool
) -> tuple[list[str], Selected]:
    options = _read_options(archive, work) | {selector.row_name: _kept(selector) for selector in asked}
    archive.write_text(work.job_id, _OPTIONS_FILE, json.dumps(options, indent=1, sort_keys=True))
    unasked = refused(work, asked) if prepares else {}
    warnings = prepare(archive, work, [s for s in asked if s.row_name not in unasked]) if prepares else ()
    job = work.job
    selected = select_job(
        archive,
        work.job_id,
        selectors=asked,
        equivalence=job.answer.equivalence_rule(),
        stop=job.stopping_rule,
        seed=job.seed,
    )
    return [selector.row_name for selector in asked], replace(
        selected, failed={**selected.failed, **unasked}, warnings=warnings
    )


def _kept(config: SelectorConfig) -> dict[str, Any]:
    """Its options, and its kind where it goes by another name."""
    return {**config.options, **({_KIND: config.name} if config.label else {})}


def _recalled(name: str, kept: Mapping[str, Any]) -> SelectorConfig:
    options = {option: value for option, value in kept.items() if option != _KIND}
    return parse_selector({kept.get(_KIND, name): {**options, "as": name}})


def _read_options(archive: Archive, work: Workload) -> dict[str, dict[str, Any]]:
    options: dict[str, dict[str, Any]] = json.loads(archive.read_text(work.job_id, _OPTIONS_FILE) or "{}")
    return options
