"""A policy as people write it: classes, brakes, rules and what operators may do."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, Field, StringConstraints, WithJsonSchema, model_validator

from yamori.model.actions import Effect
from yamori.model.finding import Severity
from yamori.model.sla import SLAClass
from yamori.policy.brakes import Brakes
from yamori.policy.classes import ClassName, ClassSpec, Floors, build
from yamori.policy.document import Misplaced
from yamori.policy.quantities import Fraction, Seconds
from yamori.policy.selectors import STRICT, Globs, Selector, as_list


class Ruling(StrEnum):
    """What a rule says: let it happen, ask a person first, or refuse."""

    ALLOW = "allow"
    ASK = "ask"
    DENY = "deny"


class Mode(StrEnum):
    """Whether a rule takes effect, or is only told about."""

    OBSERVE = "observe"
    ENFORCE = "enforce"


class Verb(StrEnum):
    """The verbs of the model that can be asked for."""

    THROTTLE = "throttle"
    RELEASE = "release"
    MIGRATE = "migrate"


def _one_or_more(words: type[StrEnum]) -> tuple[Any, ...]:
    names = [w.value for w in words]
    schema = {"anyOf": [{"enum": names}, {"type": "array", "items": {"enum": names}, "minItems": 1}]}
    return BeforeValidator(as_list), Field(min_length=1), WithJsonSchema(schema)


Verbs = Annotated[tuple[Annotated[Verb, Field(strict=False)], ...], *_one_or_more(Verb)]
Effects = Annotated[tuple[Annotated[Effect, Field(strict=False)], ...], *_one_or_more(Effect)]
RuleName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,59}$")]


class When(BaseModel):
    """Conditions of a rule. All keys given must hold; of the values of one key any may.

    Without ``operator`` a rule speaks of what modules propose; with it, of what these people ask for.
    A rule that allows a verb allows the release that undoes it too, whatever the finding says by then.
    """

    model_config = STRICT

    verb: Verbs | None = Field(default=None, description="What is asked for.")
    module: Globs | None = Field(default=None, description="Patterns of the asking module's name.")
    operator: Globs | None = Field(default=None, description="Patterns of the asking person's name.")
    effects: Effects | None = Field(default=None, description="The action has at least one of these effects.")
    vm: Selector | None = Field(default=None, description="Which VMs.")
    nature: Globs | None = Field(default=None, description="What the finding takes the cause for: attack, load …")
    resource: Globs | None = Field(
        default=None, description="The resource in contention: cpu, memory, disk, network."
    )
    severity_at_least: Severity | None = Field(default=None, description="The finding is at least that bad.")
    confidence_at_least: Annotated[Fraction, Field(ge=0, le=1)] | None = Field(
        default=None, description="The finding is at least that sure."
    )

    @model_validator(mode="after")
    def _module_or_operator(self) -> Self:
        if self.module is not None and self.operator is not None:
            raise ValueError("module and operator exclude each other: write two rules")
        return self


class Rule(BaseModel):
    """One rule. The first rule whose conditions hold decides; later ones are not read."""

    model_config = STRICT

    id: RuleName = Field(description="Its name in every decision and record.")
    description: str | None = Field(default=None, description="For people.")
    when: When = Field(default=When(), description="Conditions; without any, the rule speaks of everything.")
    decision: Ruling = Field(description="What happens when the conditions hold.")
    mode: Mode = Field(default=Mode.OBSERVE, description="observe only tells what would be; enforce makes it so.")
    expires: Annotated[Seconds, Field(gt=0)] | None = Field(
        default=None, description="A throttle holds no longer than this, such as 10m."
    )
    floors: Floors = Field(default=Floors(), description="What a throttle by this rule always leaves.")


class Operators(BaseModel):
    """What people may do where no rule with ``operator`` speaks. Releasing and undoing are always allowed."""

    model_config = STRICT

    effects: tuple[Effect, ...] = Field(
        default=(Effect.REVERSIBLE, Effect.DISRUPTIVE),
        description="An action is allowed when it is reversible and has no effect outside this list.",
    )
    braked: bool = Field(default=False, description="Whether the brakes hold people back too.")
    override_sla: bool = Field(
        default=False, description="Whether people may throttle below floors, and any class."
    )


class Policy(BaseModel):
    """A whole policy. What no rule speaks of is denied when it is disruptive and only observed otherwise."""

    model_config = STRICT

    version: Literal[1] = Field(description="The version of this format.")
    description: str | None = Field(default=None, description="For people.")
    classes: dict[ClassName, ClassSpec] = Field(default={}, description="SLA classes by name.")
    brakes: Brakes = Field(default=Brakes(), description="How much may happen at once and in a while.")
    longest: Annotated[Seconds, Field(gt=0)] = Field(
        default=3600.0, description="No throttle holds longer than this, whoever asks."
    )
    operators: Operators = Field(default=Operators(), description="What people may do.")
    rules: tuple[Rule, ...] = Field(
        default=(), max_length=1000, description="Read from the top; the first match decides."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        build(self.classes)
        seen: set[str] = set()
        for number, rule in enumerate(self.rules):
            if rule.id in seen:
                raise Misplaced(f"two rules have the id {rule.id!r}", ("rules", number, "id"))
            seen.add(rule.id)
        return self

    def sla_classes(self) -> Mapping[str, SLAClass]:
        """Return the classes that hold, the standard ones included."""
        return build(self.classes)
