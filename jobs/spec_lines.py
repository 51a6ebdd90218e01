"""A job file as data that remembers its lines, and findings about it as issues that name them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from polythink.errors import SpecIssue

Loc = tuple[str | int, ...]
_MERGE = "tag:yaml.org,2002:merge"
_SECRET = re.compile(r"\bsk-[A-Za-z0-9_-]{6,}|(?<=://)[^\s/@]+:[^\s/@]+(?=@)")
_API_KEY = re.compile(r"\bsk-ant-[A-Za-z0-9_-]{6,}")
_SHOWN_CHARACTERS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing wrong, by its place in the data. Parts of a place that begin with `#` are no keys of the file."""

    loc: Loc
    found: str
    wanted: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A YAML text as data, with its nodes."""

    text: str
    data: Any
    root: yaml.Node | None
    findings: tuple[Finding | SpecIssue, ...]

    def line(self, loc: Loc) -> int | None:
        """The line of a place, from 1; where the place is not in the text, that of the nearest place around it."""
        if self.root is None:
            return None
        node, line = self.root, self.root.start_mark.line
        for part in loc:
            if (step := _step(node, part)) is not None:
                node, line = step
        return line + 1


def parse(text: str, file: str | None) -> Document:
    """Read YAML. A syntax error or a duplicate key becomes a finding; after a syntax error there is no data."""
    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        findings = tuple(_duplicates(root)) if root else ()
        data = loader.construct_document(root) if root else None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        return Document(text=text, data=None, root=None, findings=(_syntax_issue(error, file),))
    return Document(text=text, data=data, root=root, findings=findings)


def issues(findings: Iterable[Finding | SpecIssue], document: Document, file: str | None) -> tuple[SpecIssue, ...]:
    """Findings as issues, each once, in the order of the file. Nothing that looks like a secret is repeated."""
    placed = dict.fromkeys(
        _issue(finding, document, file) if isinstance(finding, Finding) else finding for finding in findings
    )
    return tuple(sorted(placed, key=lambda issue: (issue.file != file, issue.file or "", issue.line or 0)))


def secret_findings(text: str, file: str | None) -> Iterator[SpecIssue]:
    """Lines that hold what looks like an API key: the file is kept in the archive, so it must not."""
    for number, line in enumerate(text.splitlines(), start=1):
        if _API_KEY.search(line):
            yield SpecIssue(
                path="(text)",
                line=number if file else None,
                file=file,
                found="what looks like an API key",
                wanted="take it out; endpoint.api_key_env names the environment variable that holds the key",
            )


def path_of(loc: Loc) -> str:
    """
    >>> path_of(("arms", "#ArmGrid", "grid", "reasoning", 1, "#BudgetTokens", "budget_tokens"))
    'arms.grid.reasoning[1].budget_tokens'
    """
    path = ""
    for part in loc:
        if isinstance(part, int):
            path += f"[{part}]"
        elif not part.startswith(("#", "[")):
            path += f".{part}" if path else part
    return path or "(file)"


def show(value: Any) -> str:
    """A value of a job file in a few words."""
    match value:
        case None:
            return "null"
        case bool():
            return f"{str(value).lower()} (a truth value)"
        case str():
            return f'"{_short(value)}"'
        case dict():
            return _short("a mapping of " + ", ".join(map(str, value))) if value else "an empty mapping"
        case list() | tuple():
            return f"a list of {len(value)}"
        case _:
            return _short(str(value))


def near(name: str, known: Iterable[str]) -> str:
    """A suggestion to begin a sentence with, or nothing.

    >>> near("sampels", ["samples", "name"]), near("x", [])
    ('did you mean `samples`? ', '')
    """
    closest = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean `{closest[0]}`? " if closest else ""


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 3] + "..."


def _issue(finding: Finding, document: Document, file: str | None) -> SpecIssue:
    return SpecIssue(
        path=_redacted(path_of(finding.loc)),
        line=document.line(finding.loc) if file else None,
        file=file,
        found=_redacted(finding.found),
        wanted=finding.wanted,
    )


def _redacted(text: str) -> str:
    return _SECRET.sub("(hidden: it looks like a secret)", text)


def _step(node: yaml.Node, part: str | int) -> tuple[yaml.Node, int] | None:
    """The node of a key or an index, and the line on which it is said."""
    if isinstance(node, yaml.MappingNode):
        for key, value in reversed(node.value):
            if key.value == str(part):
                return value, key.start_mark.line
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        item = node.value[part]
        return item, item.start_mark.line
    return None


def _duplicates(root: yaml.Node) -> Iterator[Finding]:
    """Keys said twice in one mapping. Aliases share nodes, and each node is looked at once."""
    seen: set[int] = set()
    waiting: list[tuple[Loc, yaml.Node]] = [((), root)]
    while waiting:
        loc, node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += [((*loc, index), item) for index, item in enumerate(node.value)]
        elif isinstance(node, yaml.MappingNode):
            yield from _repeated_keys(loc, node)
            waiting += [((*loc, str(key.value)), value) for key, value in node.value]


def _repeated_keys(loc: Loc, node: yaml.MappingNode) -> Iterator[Finding]:
    first: dict[str, int] = {}
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE:
            continue
        if key.value in first:
            yield Finding(
                loc=(*loc, key.value),
                found=f"`{key.value}` a second time, first on line {first[key.value]}",
                wanted="say it once",
            )
        first.setdefault(key.value, key.start_mark.line + 1)


def _syntax_issue(error: Exception, file: str | None) -> SpecIssue:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    what = " ".join(filter(None, (getattr(error, "context", None), getattr(error, "problem", None)))) or str(error)
    return SpecIssue(
        path="(file)",
        line=mark.line + 1 if mark and file else None,
        file=file,
        found=_redacted(f"invalid YAML: {what}"),
        wanted="valid YAML; quote a text that holds `: `, `#`, `{` or a backslash in double quotes",
    )
