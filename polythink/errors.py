"""Every error polythink raises on purpose.

    PolythinkError
    ├── SpecError          the job file (or its problems) cannot be used; carries every issue found
    ├── ArchiveError       the archive cannot be read or written
    │   ├── UnknownJobError    no job of that name or id
    │   ├── UnknownProblemError    no problem of that id in the job
    │   ├── JobBusyError       another process runs the job
    │   └── LeaseLostError     this process ran the job, and another may by now
    ├── JobChangedError    the spec would mix unlike samples with those already kept
    ├── SandboxError       a user's function failed, or took too long
    ├── ClusterError       Ray cannot be reached or started
    └── EndpointError      an endpoint refuses the whole job, or cannot be reached

An item's failure is a value in its record, never an exception. All of these survive pickling, and so Ray.
"""

from __future__ import annotations

from dataclasses import dataclass


class PolythinkError(Exception):
    """Base of all errors raised on purpose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecIssue:
    """One thing wrong with a job: where, what was found, what would be right."""

    path: str  # as in `arms.grid.reasoning[1].budget_tokens`
    line: int | None  # in `file`, from 1
    file: str | None  # the job file or a problem file
    found: str  # "512"
    wanted: str  # "an integer of at least 1024"

    def __str__(self) -> str:
        where = f"{self.file or 'job'}{f':{self.line}' if self.line else ''}"
        return f"{where}: {self.path}: found {self.found}; {self.wanted}"


class SpecError(PolythinkError):
    """The job cannot be run as written."""

    def __init__(self, issues: tuple[SpecIssue, ...]) -> None:
        super().__init__(issues)
        self.issues = issues

    def __str__(self) -> str:
        return "\n".join(str(issue) for issue in self.issues)


class ArchiveError(PolythinkError):
    """The archive cannot be read or written."""


class UnknownJobError(ArchiveError):
    """No job of that name or id."""


class UnknownProblemError(ArchiveError):
    """No problem of that id in the job."""


class JobBusyError(ArchiveError):
    """Another process runs the job."""


class LeaseLostError(ArchiveError):
    """This process ran the job, and another may by now."""


class JobChangedError(PolythinkError):
    """The spec would mix unlike samples with those already kept."""


class SandboxError(PolythinkError):
    """A user's function failed, or took too long."""


class ClusterError(PolythinkError):
    """Ray cannot be reached or started."""


class EndpointError(PolythinkError):
    """An endpoint refuses the whole job, or cannot be reached."""
