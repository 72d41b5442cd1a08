"""Rules as data: what the YAML files of this package may say, loaded and validated.

Belongs here: the shape of a rule and how a source overrides it. Does not: the profile columns
that rules judge (expectations.profiles) or the judging (expectations.judge).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lake.audit import BrokenAuditError

DELIVERIES_FILE = Path(__file__).parent / "deliveries.yaml"
MARTS_FILE = Path(__file__).parent / "marts.yaml"

M = TypeVar("M", bound=BaseModel)  # 3.11 has no type parameter lists

Severity = Literal["critical", "warning"]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
SuiteName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_.]*$")]


class RuleFileError(BrokenAuditError):
    """A file of rules or objectives says something that it must not say."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Guard(_Strict):
    """The rule applies to subjects whose `column` is at least `min`; others pass unjudged."""

    column: Name
    min: float


class Override(_Strict):
    """What one source says instead; what is absent stays as in the rule."""

    min: float | None = None
    max: float | None = None
    value: float | None = None
    values: tuple[float, ...] | None = None
    severity: Severity | None = None


class Rule(_Strict):
    """One expectation about one profile column; both ends of `between` are inclusive.

    optional: an absent value (no row to measure) passes; else it fails.
    """

    name: Name
    column: Name
    kind: Literal["between", "equal", "in_set", "not_null"]
    min: float | None = None
    max: float | None = None
    value: float | None = None
    values: tuple[float, ...] | None = None
    severity: Severity = "critical"
    description: Annotated[str, Field(min_length=10)]
    optional: bool = False
    applies_if: Guard | None = None
    sources: dict[Name, Override] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _has_what_its_kind_needs(self) -> Rule:
        given = {k for k in ("min", "max", "value", "values") if getattr(self, k) is not None}
        allowed: dict[str, tuple[set[str], ...]] = {
            "between": ({"min"}, {"max"}, {"min", "max"}),
            "equal": ({"value"},),
            "in_set": ({"values"},),
            "not_null": (set(),),
        }
        if given not in allowed[self.kind]:
            wanted = " or ".join("+".join(sorted(s)) or "no bound" for s in allowed[self.kind])
            raise ValueError(
                f"kind {self.kind} needs {wanted}, found {', '.join(sorted(given)) or 'none'}"
            )
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min must not exceed max, found {self.min} > {self.max}")
        return self

    @property
    def expected(self) -> str:
        """Return the bound in words, for reports."""
        if self.kind == "not_null":
            return "not null"
        if self.kind == "equal":
            return f"= {self.value:g}"
        if self.kind == "in_set":
            return "one of " + ", ".join(f"{v:g}" for v in self.values or ())
        if self.min is None:
            return f"<= {self.max:g}"
        return f">= {self.min:g}" if self.max is None else f"between {self.min:g} and {self.max:g}"

    def for_source(self, source: str) -> Rule:
        """Return the rule with what `source` says instead, validated again."""
        override = self.sources.get(source)
        if override is None:
            return self
        said = override.model_dump(exclude_none=True)
        return Rule.model_validate({**self.model_dump(exclude={"sources"}), **said})


class Suite(_Strict):
    """Rules about the profiles it lists."""

    name: SuiteName
    description: str
    profiles: Annotated[tuple[str, ...], Field(min_length=1)]
    rules: Annotated[tuple[Rule, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _names_and_overrides_hold(self) -> Suite:
        names = [r.name for r in self.rules]
        doubled = sorted({n for n in names if names.count(n) > 1})
        if doubled:
            raise ValueError(f"rule names must be unique in a suite, found twice: {doubled}")
        for rule in self.rules:
            for source in rule.sources:
                try:
                    rule.for_source(source)
                except ValidationError as error:
                    found = error.errors()[0]["msg"]
                    raise ValueError(f"rule {rule.name}, source {source}: {found}") from error
        return self


class RuleFile(_Strict):
    """One layer's suites."""

    layer: Literal["delivery", "mart"]
    suites: Annotated[tuple[Suite, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _suite_names_are_unique(self) -> RuleFile:
        names = [s.name for s in self.suites]
        if len(names) != len(set(names)):
            raise ValueError(f"suite names must be unique, found {names}")
        return self

    def of_profile(self, profile: str) -> tuple[Suite, ...]:
        """Return the suites that judge a profile; at least one."""
        found = tuple(s for s in self.suites if profile in s.profiles)
        if not found:
            known = sorted({p for s in self.suites for p in s.profiles})
            raise RuleFileError(
                f"no suite of layer {self.layer} judges profile {profile}; expected one of "
                f"{known}. Add the profile to a suite in the layer's rule file."
            )
        return found


@dataclass(frozen=True)
class _Place:
    """Where in a rule file something is wrong, in the words of its author."""

    rule: str
    field: str


def _place(raw: object, loc: tuple[int | str, ...]) -> _Place:
    """Turn a position (suites, 0, rules, 3, min) into the names written there."""
    names: list[str] = []
    fields: list[str] = []
    here = raw
    for step in loc:
        if isinstance(here, list) and isinstance(step, int) and step < len(here):
            here = here[step]
            name = here.get("name") if isinstance(here, dict) else None
            names.append(str(name) if name else f"number {step + 1}")
            fields.clear()
        else:
            here = here.get(step) if isinstance(here, dict) else None
            fields.append(str(step))
    return _Place("/".join(names), ".".join(fields))


def load_yaml(path: Path) -> object:
    """Return what a YAML file holds; RuleFileError names the file when it holds none."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RuleFileError(
            f"{path}: expected a readable YAML file, found {type(error).__name__}. "
            "Restore the file or mend its syntax; nothing is judged without it."
        ) from error


def validated(model: type[M], path: Path) -> M:
    """Return a YAML file as `model`; every fault is named in one RuleFileError."""
    raw = load_yaml(path)
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        faults: list[str] = []
        for fault in error.errors():
            place = _place(raw, fault["loc"])
            where = f"rule {place.rule}" if place.rule else "the file"
            faults.append(f"{where}, field {place.field or '(whole)'}: {fault['msg']}")
        raise RuleFileError(
            f"{path}: {'; '.join(faults)}. Correct the file (fields: expectations/rules.py); "
            "nothing is judged until it loads."
        ) from error


@cache
def load_rules(path: Path) -> RuleFile:
    """Return a layer's rules, read once per process."""
    return validated(RuleFile, path)
