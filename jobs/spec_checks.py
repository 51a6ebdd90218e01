"""What a job file says against what models, templates and selectors allow. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import regex as timed_re
from jinja2 import TemplateSyntaxError

from polythink import facts as model_facts
from polythink.facts import MIN_BUDGET_TOKENS, Capabilities, ModelFacts
from polythink.jobs.arms import PlacedArm
from polythink.jobs.prompt import named_fields
from polythink.jobs.spec import Job
from polythink.jobs.spec_lines import Finding, Loc, near, show
from polythink.jobs.spec_parts import ArmGrid, JsonExtract, RegexExtract
from polythink.jobs.spec_salvage import Unusable
from polythink.selectors.registry import parse_selector


def check_arms(arms: Iterable[PlacedArm], unusable: Unusable) -> Iterator[Finding]:
    """Arms against the facts of their models, and each other."""
    first: dict[str, Loc] = {}
    for placed in arms:
        facts = None if unusable.covers(placed.model_place) else model_facts.find(placed.arm.model)
        yield from check_settings(placed, facts, unusable)
        if not _is_named(placed, unusable):
            continue
        if placed.arm.arm_id in first:
            yield _same_id(placed)
        first.setdefault(placed.arm.arm_id, placed.place)


def check_settings(placed: PlacedArm, facts: ModelFacts | Capabilities | None, unusable: Unusable) -> Iterator[Finding]:
    """An arm's max_tokens and reasoning setting against what its model takes."""
    yield from _check_max_tokens(placed, facts)
    if not unusable.covers(placed.reasoning_place):
        yield from _check_reasoning(placed, facts, unusable)


def check_endpoints(job: Job, arms: Iterable[PlacedArm], unusable: Unusable) -> Iterator[Finding]:
    """Arms against the endpoints there are, and models and the cap against the prices that these give."""
    for placed in arms:
        knows_endpoint = not unusable.covers(placed.endpoint_place) and not unusable.covers(("endpoint",))
        if knows_endpoint:
            yield from _check_endpoint(job, placed, unusable)
        if not unusable.covers(placed.model_place):
            misspelt = tuple(_check_model(job, placed))
            yield from misspelt
            if not misspelt and not unusable.covers(("endpoint",)):
                yield from _check_cap(job, placed)


def _is_named(placed: PlacedArm, unusable: Unusable) -> bool:
    """Whether the arm's id comes of nothing but what was said."""
    if unusable.covers((*placed.place, "id")):
        return False
    parts = (placed.model_place, placed.reasoning_place, placed.endpoint_place)
    return placed.spec.id is not None or not any(map(unusable.touches, parts))


def _same_id(placed: PlacedArm) -> Finding:
    named = placed.spec.id is not None
    loc = (*placed.place, "id") if named else placed.reasoning_place
    return Finding(
        loc=loc,
        found=f"a second arm `{placed.arm.arm_id}`",
        wanted="arms must differ in id; give each an id of its own, or take one out",
    )


def _check_endpoint(job: Job, placed: PlacedArm, unusable: Unusable) -> Iterator[Finding]:
    names, asked = list(job.endpoints), placed.spec.endpoint_names
    if not asked and len(names) > 1:
        wanted = f"endpoint: one of {', '.join(names)}, or a list of them"
        yield Finding(loc=placed.place, found="no endpoint", wanted=wanted)
    for index, name in enumerate(asked):
        loc = placed.endpoint_place if isinstance(placed.spec.endpoint, str) else (*placed.endpoint_place, index)
        if unusable.covers(loc) or unusable.covers(("endpoint", name)):
            continue
        if name not in names:
            wanted = f"{near(name, names)}the name of an endpoint: {', '.join(names)}"
            yield Finding(loc=loc, found=show(name), wanted=wanted)
        elif name in asked[:index]:
            yield Finding(loc=loc, found=f"{show(name)} a second time", wanted="each endpoint once")


def _is_priced(job: Job, placed: PlacedArm) -> bool:
    """Whether its endpoints give prices; where they are not known, whether any does."""
    endpoints, asked = job.endpoints, placed.spec.endpoint_names
    if endpoints.keys() >= set(asked) and (asked or len(endpoints) == 1):
        return all(endpoints[name].prices is not None for name in placed.arm.endpoints)
    return any(endpoint.prices is not None for endpoint in endpoints.values())


def _check_model(job: Job, placed: PlacedArm) -> Iterator[Finding]:
    """An unknown model may be any server's own; one that is called Claude is more likely misspelt."""
    model = placed.arm.model
    if _is_priced(job, placed) or model_facts.find(model) or not model.startswith("claude-"):
        return
    known = [name for model in model_facts.all_models() for name in (model.model_id, *model.aliases)]
    yield Finding(
        loc=placed.model_place,
        found=show(model),
        wanted=f"{near(model, known)}the id of a known model; for one newer than this version of polythink "
        "give its prices in endpoint.prices",
    )


def _check_cap(job: Job, placed: PlacedArm) -> Iterator[Finding]:
    if job.cap and not _is_priced(job, placed) and model_facts.find(placed.arm.model) is None:
        yield Finding(
            loc=("cap", "usd"),
            found=f"a cap, but no price for {placed.arm.model}",
            wanted="give endpoint.prices {input, output} in USD per million tokens, or take the cap out",
        )


def _check_max_tokens(placed: PlacedArm, facts: ModelFacts | Capabilities | None) -> Iterator[Finding]:
    arm = placed.arm
    if facts and arm.max_tokens > facts.max_output_tokens:
        yield Finding(
            loc=placed.max_tokens_place,
            found=f"{arm.max_tokens} with {arm.model}",
            wanted=f"at most {facts.max_output_tokens}, the model's largest output",
        )


def _check_reasoning(
    placed: PlacedArm, facts: ModelFacts | Capabilities | None, unusable: Unusable
) -> Iterator[Finding]:
    """The setting against its bounds and its model; where only its amount cannot be used, the kind of it."""
    is_whole = not unusable.touches(placed.reasoning_place)
    if is_whole and placed.arm.reasoning.kind == "budget_tokens":
        yield from _check_budget(placed)
    if facts and not _takes(facts, placed):
        said = _said(placed) if is_whole else placed.arm.reasoning.kind
        yield Finding(
            loc=placed.reasoning_place,
            found=f"{said} with {placed.arm.model}",
            wanted=f"{placed.arm.model} takes {', '.join(_settings(facts))}",
        )


def _check_budget(placed: PlacedArm) -> Iterator[Finding]:
    budget, loc = placed.arm.reasoning.budget_tokens or 0, (*placed.reasoning_place, "budget_tokens")
    if budget < MIN_BUDGET_TOKENS:
        yield Finding(loc=loc, found=str(budget), wanted=f"an integer of at least {MIN_BUDGET_TOKENS}")
    if budget >= placed.arm.max_tokens:
        yield Finding(
            loc=loc,
            found=f"{budget} with max_tokens {placed.arm.max_tokens}",
            wanted="less than max_tokens, which holds thinking and answer together",
        )


def _takes(facts: ModelFacts | Capabilities, placed: PlacedArm) -> bool:
    reasoning = placed.arm.reasoning
    match reasoning.kind:
        case "budget_tokens":
            return facts.takes_budget
        case "effort":
            return reasoning.effort in facts.effort_levels
        case "adaptive":
            return "adaptive" in facts.thinking_types
        case "none":
            return not facts.thinking_types.isdisjoint({"disabled", "between_tools"})


def _said(placed: PlacedArm) -> str:
    reasoning = placed.arm.reasoning
    match reasoning.kind:
        case "budget_tokens":
            return f"budget_tokens: {reasoning.budget_tokens}"
        case "effort":
            return f"effort: {reasoning.effort}"
        case kind:
            return kind


def _settings(facts: ModelFacts | Capabilities) -> Iterator[str]:
    if not facts.thinking_types.isdisjoint({"disabled", "between_tools"}):
        yield "none"
    if "adaptive" in facts.thinking_types:
        yield "adaptive"
    if facts.takes_budget:
        yield "budget_tokens"
    if facts.effort_levels:
        yield f"effort ({' | '.join(facts.effort_levels)})"


def check_answer(job: Job) -> Iterator[Finding]:
    """The user's regular expression must compile, the dotted path have no empty part."""
    match job.answer.extract:
        case RegexExtract(regex=regex):
            try:
                timed_re.compile(regex)
            except timed_re.error as error:
                yield Finding(
                    loc=("answer", "extract", "regex"), found=show(regex), wanted=f"a regular expression ({error})"
                )
        case JsonExtract(json_=path) if not all(path.split(".")):
            yield Finding(
                loc=("answer", "extract", "json"), found=show(path), wanted="a dotted path such as result.value"
            )


def check_select(job: Job) -> Iterator[Finding]:
    """Selectors must exist and take the options they are given."""
    for index, value in enumerate(job.select):
        try:
            parse_selector(value)
        except ValueError as error:
            yield Finding(loc=("select", index), found=show(value), wanted=str(error))


def template_places(job: Job) -> dict[Loc, str]:
    """Every template of a job by its place, each text once."""
    prompts: list[tuple[Loc, str | None]] = [
        (("prompt", "template"), job.prompt.template),
        (("prompt", "system"), job.prompt.system),
    ]
    for index, spec in enumerate(() if isinstance(job.arms, ArmGrid) else job.arms):
        if spec.prompt:
            for name in sorted(spec.prompt.model_fields_set):
                prompts.append((("arms", index, "prompt", name), getattr(spec.prompt, name)))
    return {loc: text for loc, text in prompts if text is not None}


def check_templates(templates: dict[Loc, str], known_fields: Iterable[str] | None) -> Iterator[Finding]:
    """Templates must parse and name only fields that rows have; `known_fields` is None where no row could be read."""
    for loc, text in templates.items():
        try:
            named = named_fields(text)
        except TemplateSyntaxError as error:
            yield Finding(
                loc=loc, found=f"a template with an error on its line {error.lineno}", wanted=f"{error.message}"
            )
            continue
        for name in sorted(named.difference(known_fields) if known_fields is not None else ()):
            fields = sorted(known_fields or ())
            yield Finding(
                loc=loc,
                found=f"`{name}`, which no row has",
                wanted=f"{near(name, fields)}the fields are {', '.join(fields)}",
            )
