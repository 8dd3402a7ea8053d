"""Read a policy file, and the policy that holds when there is none."""

from __future__ import annotations

import functools
from importlib import resources

from yamori.policy.document import Document, parse
from yamori.policy.rules import Policy

DEFAULT_SOURCE = "built-in policy"


def read_policy(untrusted_text: str | bytes, source: str) -> Policy:
    """Read a policy. Raises Invalid: each line names file, line, column, what is wrong and how to mend it."""
    return read_with_places(untrusted_text, source)[1]


def read_with_places(untrusted_text: str | bytes, source: str) -> tuple[Document, Policy]:
    """Read a policy and keep the places in the text, for warnings. Raises Invalid."""
    document = parse(untrusted_text, source)
    document.refuse_nothing()  # an empty condition would match everything
    return document, document.validate(Policy)


def default_text() -> str:
    """Return the built-in policy as written: it observes everything and enforces nothing."""
    return resources.files("yamori.policy").joinpath("default.yaml").read_text(encoding="utf-8")


@functools.cache
def default_policy() -> Policy:
    """Return the built-in policy."""
    return read_policy(default_text(), DEFAULT_SOURCE)
