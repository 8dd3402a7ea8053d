"""Ids of rules in a Filter: made of an operator's words, without characters that mean anything elsewhere."""

from __future__ import annotations

import hashlib
import re

from yamori.model.filter_rule import Direction

_SOUND = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_LONGEST = 30


def slug(word: str) -> str:
    """Return the word itself where it is sound, else what is sound of it and a digest: no two are the same."""
    if _SOUND.fullmatch(word) is not None:
        return word
    digest = hashlib.sha256(word.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    kept = re.sub(r"[^a-z0-9]+", "-", word.lower()).strip("-")[:_LONGEST].rstrip("-")
    return f"{kept}.{digest}" if kept else f"x.{digest}"


def rule_id(rule: str, way: Direction, number: int) -> str:
    """Return the id of the ``number``-th part of a document's rule, one way."""
    return f"{slug(rule)}.{way}.{number}"


def unmatched_id(way: Direction) -> str:
    """Return the id of what lets through, one way, what no rule allows. No rule of a document has it."""
    return f"by-default.{way}"
