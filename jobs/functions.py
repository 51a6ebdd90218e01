"""The user's Python functions: found by the job file, kept beside the job, loaded from there on any machine."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from polythink.selectors.registry import SelectorConfig, parse_selector
from polythink.storage.archive import Archive


def placed(reference: str, base: Path) -> str:
    """The reference with its file, if it names one, by an absolute path."""
    place, colon, name = reference.rpartition(":")
    return f"{(base / place).resolve()}:{name}" if colon and place.endswith(".py") else reference


def file_of(reference: str) -> Path | None:
    """The file of a placed reference; None for one to a module."""
    place = reference.rpartition(":")[0]
    return Path(place) if place.endswith(".py") else None


def kept_as(reference: str) -> str:
    """What a placed reference is called in the archive: its file by a name that changes with its content."""
    if (source := file_of(reference)) is None:
        return reference
    digest = hashlib.blake2b(source.read_bytes(), digest_size=4).hexdigest()
    return f"files/{source.stem}-{digest}.py:{reference.rpartition(':')[2]}"


def copy(archive: Archive, job_id: str, reference: str) -> None:
    """Keep the file of a placed reference, if it has one, with the job."""
    if (source := file_of(reference)) is not None:
        archive.write_text(job_id, kept_as(reference).rpartition(":")[0], source.read_text(encoding="utf-8"))


def take(archive: Archive, from_job: str, to_job: str, kept: str) -> bool:
    """Copy the file of a kept reference, if it has one, from one job to another; whether it was there."""
    place = kept.rpartition(":")[0]
    if not place.endswith(".py"):
        return True
    if (text := archive.read_text(from_job, place)) is None:
        return False
    archive.write_text(to_job, place, text)
    return True


@contextmanager
def loadable(archive: Archive, job_id: str, kept: str) -> Iterator[str]:
    """A kept reference as the sandbox loads it; a file is the archive's own copy."""
    place, _, name = kept.rpartition(":")
    if not place.endswith(".py"):
        yield kept
        return
    with archive.as_file(job_id, place) as path:
        yield f"{path}:{name}"


def functions_of(config: SelectorConfig) -> dict[str, str]:
    """The functions that a selector was given, by option."""
    rules = config.kind.options
    return {name: value for name, value in config.options.items() if rules[name].kind == "function"}


def selector_functions(selectors: Sequence[object], base: Path) -> list[str]:
    """The functions, placed, that selectors as a job file has them name; they must have been checked."""
    configs = [parse_selector(value) for value in selectors]
    return [placed(reference, base) for config in configs for reference in functions_of(config).values()]


def selector_as_kept(value: object, base: Path) -> object:
    """A selector as a job file has it, with its functions as the archive calls them."""
    found = functions_of(parse_selector(value))
    if not found or not isinstance(value, Mapping):
        return value
    ((kind, options),) = value.items()
    return {kind: {**options, **{name: kept_as(placed(reference, base)) for name, reference in found.items()}}}
