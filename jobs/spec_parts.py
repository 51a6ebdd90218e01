"""The parts of a job file as models. The Python model and the YAML are the same; every default is here."""

from __future__ import annotations

import difflib
import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag
from pydantic_core import PydanticCustomError

from polythink.records import AnswerRule, Equivalence, Reasoning
from polythink.selectors.sameness import EquivalenceJudge
from polythink.workers.leases import Dimension
from polythink.workers.tasks import Provider

SLUG = r"^[a-z0-9][a-z0-9._-]{0,47}$"
DEFAULT_ENDPOINT = "default"
SDK_KEY_VARIABLE = "ANTHROPIC_API_KEY"
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PERCENTAGE = re.compile(r"\d{1,2}(\.\d+)?%")
_URL = re.compile(r"https?://[^\s/?#]+[^\s?#]*")
_KEY_START = re.compile(r"sk-", re.IGNORECASE)


class Model(BaseModel):
    """Base of every part: nothing unknown is taken, nothing is changed afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def by_shape(shapes: str, *kinds: type[BaseModel], plain: type | tuple[type, ...] | None = None) -> Discriminator:
    """Tell the forms of a value apart, so that an error speaks of the form that was meant.

    A mapping belongs to the model one of whose fields it names, or nearly names. Tags begin with `#`: they are no
    part of the path that a reader of the job file knows.
    """

    def tag(value: Any) -> str | None:
        if plain is not None and isinstance(value, plain):
            return "#plain"
        if isinstance(value, kinds):
            return f"#{type(value).__name__}"
        if isinstance(value, dict):
            return next((f"#{kind.__name__}" for kind in kinds if _names_a_field(value, kind)), None)
        return None

    return Discriminator(tag, custom_error_type="shape", custom_error_message=shapes)


def _names_a_field(value: dict[Any, Any], kind: type[BaseModel]) -> bool:
    return any(difflib.get_close_matches(str(key), kind.model_fields, n=1, cutoff=0.7) for key in value)


Count = Annotated[int, Field(strict=True, ge=1)]
Usd = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
Text = Annotated[str, Field(min_length=1)]
OneOrMore = Annotated[
    Annotated[Text, Tag("#plain")] | Annotated[tuple[Text, ...], Field(min_length=1), Tag("#list")],
    Discriminator(
        lambda value: "#plain" if isinstance(value, str) else "#list" if isinstance(value, list | tuple) else None,
        custom_error_type="shape",
        custom_error_message="a path, or a list of paths",
    ),
]


class Problems(Model):
    """Where the problems are, and which of their fields mean what."""

    path: OneOrMore = Field(
        description="file or glob, or a list of them, relative to the job file: .jsonl, .jsonl.gz, .csv, .parquet"
    )
    id: Text | None = Field(
        default=None, description="field with the id; null: the first of id, problem_id, question_id that the rows have"
    )
    gold: Text | None = Field(
        default=None, description="field with the reference answer; null: gold, if the rows have it"
    )
    family: Text | None = Field(
        default=None,
        description="field whose value problems have in common that stand or fall together, as variants of one "
        "template or questions on one passage: bands draw whole families; null: each is one of its own",
    )
    fields: dict[Text, Text] = Field(
        default_factory=dict, description="further names for fields of the rows, as ours: theirs"
    )
    limit: Count | None = Field(default=None, description="take only the first problems; null: all")


class Prompt(Model):
    """What is sent. Both are Jinja templates over the fields of a problem's row."""

    system: str | None = Field(default=None, description="system prompt (Jinja); null: none is sent")
    template: Text = Field(default="{{ problem }}", description="user prompt (Jinja)")


class BudgetTokens(Model):
    """A thinking budget."""

    budget_tokens: Count = Field(description="tokens of thinking to aim at, from 1024, below max_tokens")


class EffortLevel(Model):
    """An effort level."""

    effort: Literal["low", "medium", "high", "xhigh", "max"] = Field(description="level, where the model takes it")


# YAML 1.1 reads a bare `off` or `no` as false.
ReasoningSetting = Annotated[
    Annotated[Literal["none", "adaptive"], Tag("#plain")]
    | Annotated[BudgetTokens, Tag("#BudgetTokens")]
    | Annotated[EffortLevel, Tag("#EffortLevel")],
    by_shape("one of none, adaptive, {budget_tokens: N}, {effort: level}", BudgetTokens, EffortLevel, plain=str),
    BeforeValidator(lambda value: "none" if value is False else value),
]


def reasoning_record(setting: Literal["none", "adaptive"] | BudgetTokens | EffortLevel) -> Reasoning:
    """The setting as the record everyone shares."""
    match setting:
        case BudgetTokens():
            return Reasoning(kind="budget_tokens", budget_tokens=setting.budget_tokens)
        case EffortLevel():
            return Reasoning(kind="effort", effort=setting.effort)
        case kind:
            return Reasoning(kind=kind)


MaxTokens = Annotated[
    Annotated[Literal["auto"], Tag("#plain")] | Annotated[Count, Tag("#number")],
    Discriminator(
        lambda value: "#plain" if isinstance(value, str) else "#number" if type(value) is int else None,
        custom_error_type="shape",
        custom_error_message="auto, or a whole number of tokens",
    ),
]
ArmName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,79}$")]


EndpointNames = Annotated[
    Annotated[Text, Tag("#plain")] | Annotated[tuple[Text, ...], Field(min_length=1), Tag("#list")],
    Discriminator(
        lambda value: "#plain" if isinstance(value, str) else "#list" if isinstance(value, list | tuple) else None,
        custom_error_type="shape",
        custom_error_message="the name of an endpoint, or a list of names",
    ),
]


class ArmSpec(Model):
    """One sampling configuration."""

    id: ArmName | None = Field(default=None, description="its name; null: model.reasoning, as in haiku-4-5.budget-4096")
    model: Text = Field(description="model id")
    reasoning: ReasoningSetting = Field(description="none (or off), adaptive, {budget_tokens: N} or {effort: level}")
    endpoint: EndpointNames | None = Field(
        default=None,
        description="name of an endpoint, or a list: each sample goes to whichever has room; may be left out if there "
        "is only one",
    )
    prompt: Prompt | None = Field(default=None, description="replaces those parts of the job's prompt that it sets")
    max_tokens: MaxTokens | None = Field(default=None, description="in place of the job's max_tokens")

    @property
    def endpoint_names(self) -> tuple[str, ...]:
        """As said; empty if nothing was."""
        return (self.endpoint,) if isinstance(self.endpoint, str) else self.endpoint or ()


class ArmAxes(Model):
    """The axes of a grid of arms: every combination is an arm."""

    model: Annotated[tuple[Text, ...], Field(min_length=1)] = Field(description="list of model ids")
    reasoning: Annotated[tuple[ReasoningSetting, ...], Field(min_length=1)] = Field(
        description="list of reasoning settings"
    )
    endpoint: Annotated[tuple[EndpointNames, ...], Field(min_length=1)] | None = Field(
        default=None, description="list of endpoints, each a name or a list of names as in an arm"
    )


class ArmGrid(Model):
    """Arms as a grid."""

    grid: ArmAxes = Field(description="axes; every combination is an arm")


def _arms_tag(value: Any) -> str | None:
    if isinstance(value, list | tuple):
        return "#list"
    return "#ArmGrid" if isinstance(value, ArmGrid) or (isinstance(value, dict) and "grid" in value) else None


Arms = Annotated[
    Annotated[tuple[ArmSpec, ...], Field(min_length=1), Tag("#list")] | Annotated[ArmGrid, Tag("#ArmGrid")],
    Discriminator(
        _arms_tag,
        custom_error_type="shape",
        custom_error_message="a list of arms, or {grid: {model: [...], reasoning: [...]}}",
    ),
]


class RegexExtract(Model):
    """Read the answer by a regular expression."""

    regex: Text = Field(description="last match wins; group 1 if there is one, else the whole match")


class JsonExtract(Model):
    """Read the answer from a JSON object in the text."""

    json_: Text = Field(alias="json", description="dotted path of the field, as in result.value")

    model_config = ConfigDict(serialize_by_alias=True, validate_by_name=True, validate_by_alias=True)


class SamenessJudge(Model):
    """A model that decides which answers of a problem are the same."""

    model: Text = Field(description="model id of the judge")
    reasoning: ReasoningSetting = Field(default="none", description="as in an arm")
    endpoint: Text | None = Field(default=None, description="name of an endpoint; null: the job's only one")
    max_tokens: MaxTokens = Field(default="auto", description="as in an arm")
    votes: Count = Field(default=1, description="replies to each pair of answers; more than half must find them equal")


class JudgedEquivalence(Model):
    """Let a judge decide which answers are the same."""

    judge: SamenessJudge = Field(description="model that is asked about pairs of answers, and its options")


class Answer(Model):
    """How an answer is read from a sample's text, and when two answers are the same."""

    extract: Annotated[
        Annotated[Literal["boxed", "last_number", "choice", "code", "verbatim"], Tag("#plain")]
        | Annotated[RegexExtract, Tag("#RegexExtract")]
        | Annotated[JsonExtract, Tag("#JsonExtract")],
        by_shape(
            "one of boxed, last_number, choice, code, verbatim, {regex: ...}, {json: dotted.path}",
            RegexExtract,
            JsonExtract,
            plain=str,
        ),
    ] = Field(
        default="boxed", description="boxed, last_number, choice, code, verbatim, {regex: ...} or {json: dotted.path}"
    )
    equivalence: (
        Annotated[
            Annotated[Equivalence, Tag("#plain")] | Annotated[JudgedEquivalence, Tag("#JudgedEquivalence")],
            by_shape("one of string, number, math, lines, {judge: {model: ...}}", JudgedEquivalence, plain=str),
        ]
        | None
    ) = Field(
        default=None,
        description="string, number, math, lines or {judge: {model: ...}}; if not given lines for code, else math",
    )

    @property
    def equivalence_judge(self) -> EquivalenceJudge | None:
        """Who decides which answers are the same, where a model does."""
        if not isinstance(self.equivalence, JudgedEquivalence):
            return None
        return EquivalenceJudge(settings=self.equivalence.judge.model_dump(mode="json"))

    def equivalence_rule(self) -> Equivalence | EquivalenceJudge:
        """When two answers count as one vote."""
        return self.equivalence_judge or self.rule().equivalence

    def rule(self) -> AnswerRule:
        """The rule as the record everyone shares. A judge sees the forms of `string`, and no gold answer."""
        given = "string" if isinstance(self.equivalence, JudgedEquivalence) else self.equivalence
        equivalence = given or ("lines" if self.extract == "code" else "math")
        match self.extract:
            case RegexExtract():
                return AnswerRule(extraction="regex", pattern=self.extract.regex, equivalence=equivalence)
            case JsonExtract():
                return AnswerRule(extraction="json", json_path=self.extract.json_, equivalence=equivalence)
            case kind:
                return AnswerRule(extraction=kind, equivalence=equivalence)


class PythonGrade(Model):
    """Grade by a function of the user's."""

    python: Text = Field(description="grade.py:function relative to the job file, or package.module:function")
    timeout_s: Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)] = Field(
        default=10.0, description="seconds one call may take"
    )


Grade = Annotated[
    Annotated[Literal["auto", "none"], Tag("#plain")] | Annotated[PythonGrade, Tag("#PythonGrade")],
    by_shape('one of auto, none, {python: "grade.py:function"}', PythonGrade, plain=str),
]


class EndpointPrices(Model):
    """Prices of models for which none is known."""

    input: Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)] = Field(
        description="USD per million input tokens"
    )
    output: Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)] = Field(
        description="USD per million output tokens, thinking included"
    )


def _env_name(value: str) -> str:
    if _KEY_START.match(value):
        raise PydanticCustomError(
            "key_in_spec", "the name of an environment variable that holds the key, never the key"
        )
    if not _ENV_NAME.fullmatch(value):
        raise PydanticCustomError("env_name", "the name of an environment variable, such as ANTHROPIC_API_KEY")
    return value


def _plain_url(value: str) -> str:
    if "@" in value.partition("://")[2].partition("/")[0]:
        raise PydanticCustomError(
            "key_in_spec", "a URL without user name or password: credentials come from api_key_env"
        )
    if not _URL.fullmatch(value):
        raise PydanticCustomError("url", "a URL such as http://127.0.0.1:8000, without query or fragment")
    return value.rstrip("/")


def _percentage(value: str) -> str:
    if not _PERCENTAGE.fullmatch(value):
        raise PydanticCustomError("percentage", "a percentage below 100, such as 20%")
    return value


class Endpoint(Model):
    """A server that speaks the Messages API, and the credential for it."""

    provider: Provider = Field(
        default="anthropic",
        description="anthropic (or any server of its API), aws, bedrock, bedrock_mantle, foundry, google_cloud, vertex",
    )
    region: Text | None = Field(default=None, description="of aws, bedrock, bedrock_mantle, google_cloud, vertex")
    project: Text | None = Field(default=None, description="of google_cloud, vertex")
    resource: Text | None = Field(default=None, description="of foundry")
    workspace: Text | None = Field(default=None, description="id, of aws, google_cloud")
    models: dict[Text, Text] = Field(
        default_factory=dict, description="what models are called here, as in {claude-haiku-4-5: its id here}"
    )
    base_url: Annotated[str, AfterValidator(_plain_url)] | None = Field(
        default=None, description="null: $ANTHROPIC_BASE_URL, else the public API; of a cloud provider, its own"
    )
    api_key_env: Annotated[str, AfterValidator(_env_name)] | None = Field(
        default=None,
        description="NAME of the environment variable with the key, never the key itself; null: ANTHROPIC_API_KEY, "
        "or a cloud provider's own credentials",
    )
    requests_per_minute: Count | None = Field(
        default=None, description="limit of our own, for each model class; null: what the server says"
    )
    input_tokens_per_minute: Count | None = Field(default=None, description="the same, of uncached input tokens")
    output_tokens_per_minute: Count | None = Field(default=None, description="the same, of output tokens")
    leave: Annotated[str, AfterValidator(_percentage)] = Field(
        default="0%", description="share of every limit that is left to others, as in 20%"
    )
    prices: EndpointPrices | None = Field(default=None, description="of models for which none is known")

    @property
    def key_variable(self) -> str | None:
        """The environment variable with the key; None where the provider looks for its own credentials."""
        return self.api_key_env or (SDK_KEY_VARIABLE if self.provider == "anthropic" else None)

    @property
    def limits_per_minute(self) -> dict[Dimension, int]:
        """Those of our own."""
        own: dict[Dimension, int | None] = {
            "requests": self.requests_per_minute,
            "input_tokens": self.input_tokens_per_minute,
            "output_tokens": self.output_tokens_per_minute,
        }
        return {name: limit for name, limit in own.items() if limit is not None}

    @property
    def share_left(self) -> float:
        """Of every limit, to others: from 0 to below 1."""
        return float(self.leave.removesuffix("%")) / 100


class Cap(Model):
    """What may be spent."""

    usd: Usd = Field(description="settled cost plus the worst case of everything in flight stays at or below this")
    output_tokens: Count | None = Field(
        default=None, description="the same for output tokens, thinking and judges included; null: no such cap"
    )
    deadline: Annotated[datetime, Field(strict=False)] | None = Field(
        default=None,
        description="a moment such as 2026-11-25T06:00:00Z after which nothing is sent; UTC without a zone; null: none",
    )

    @property
    def deadline_at(self) -> float | None:
        """Unix seconds."""
        if self.deadline is None:
            return None
        zoned = self.deadline if self.deadline.tzinfo else self.deadline.replace(tzinfo=UTC)
        return zoned.timestamp()
