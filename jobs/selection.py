"""Picking answers: the downstream stage with a job's own rules, from the archive alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from polythink.jobs.workload import Workload
from polythink.selectors.registry import SelectorConfig, parse_selector
from polythink.selectors.stage import Selected, forget_selector, kept_selectors, select_job
from polythink.storage.archive import Archive

_OPTIONS_FILE = "selectors.json"  # the options of every selector that has rows, by name
_KIND = "selector"  # among these options, of one that goes by another name than its kind's


def select(archive: Archive, work: Workload, selectors: Sequence[object] | None) -> tuple[list[str], Selected]:
    """Write selections and curves by these selectors (None: the job's own); returns their names and the counts.

    Raises ValueError, with a suggestion, for a selector that is not known or is named twice.
    """
    return _select(archive, work, chosen(work, selectors))


def chosen(work: Workload, selectors: Sequence[object] | None) -> list[SelectorConfig]:
    """These selectors (None: the job's own), checked. Raises ValueError."""
    return [parse_selector(value) for value in selectors or work.job.select]


def select_anew(archive: Archive, work: Workload) -> Selected:
    """Bring every selection and curve of the job up to its traces; returns the counts.

    By the job's own selectors, and by every other that has rows, with the options these were made with. The rows of a
    selector that is no longer known are removed: they speak of fewer samples than there are.
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
    return _select(archive, work, renewed)[1]


def unjudged_note(forms: int, job_id: str) -> str:
    """What to say of answers that no judge has yet put into classes."""
    return (
        f"{forms:,} answers stand each for itself until a judge has said which are the same: "
        f"`polythink select {job_id}` asks"
    )


def _select(archive: Archive, work: Workload, asked: Sequence[SelectorConfig]) -> tuple[list[str], Selected]:
    options = _read_options(archive, work) | {selector.row_name: _kept(selector) for selector in asked}
    archive.write_text(work.job_id, _OPTIONS_FILE, json.dumps(options, indent=1, sort_keys=True))
    equivalence = work.job.answer.equivalence_rule()
    selected = select_job(archive, work.job_id, selectors=asked, equivalence=equivalence, seed=work.job.seed)
    return [selector.row_name for selector in asked], selected


def _kept(config: SelectorConfig) -> dict[str, Any]:
    """Its options, and its kind where it goes by another name."""
    return {**config.options, **({_KIND: config.name} if config.label else {})}


def _recalled(name: str, kept: Mapping[str, Any]) -> SelectorConfig:
    options = {option: value for option, value in kept.items() if option != _KIND}
    return parse_selector({kept.get(_KIND, name): {**options, "as": name}})


def _read_options(archive: Archive, work: Workload) -> dict[str, dict[str, Any]]:
    options: dict[str, dict[str, Any]] = json.loads(archive.read_text(work.job_id, _OPTIONS_FILE) or "{}")
    return options
