"""A port's rules as rules of the kernel. What they mean is in yamori/model/verdict.py, in the same order."""

from dataclasses import dataclass

from yamori.agent.filter import expressions as x
from yamori.agent.filter.expressions import At, Is, Key
from yamori.agent.filter.identity import SOURCE, TARGET, mine
from yamori.agent.filter.line import (
    ANYTHING,
    Choice,
    Line,
    Shared,
    Test,
    bits,
    lines,
    networks,
    numbers,
    ports,
    protocol,
)
from yamori.model import verdict as means
from yamori.model.filter import Filter, Replies
from yamori.model.filter_rule import ICMP, ICMPV6, OPENING, TCP, Direction, Rule

_QUOTED = {(4, Direction.IN): 20, (4, Direction.OUT): 24, (6, Direction.IN): 16, (6, Direction.OUT): 32}
"""Where, in an ICMP error, the quoted source stands (towards the VM), or the quoted target (from it)."""
_FRAGMENT = {4: b"\x1f\xff", 6: b"\xff\xf8"}
_MINE = {4: ICMP, 6: ICMPV6}


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """Tests by which the host knows that a packet answers a connection, or reports on one."""

    reply: Test
    related: Test


def policy(wanted: Filter, way: Direction, version: int, proof: Proof | None, shared: Shared) -> list[Line]:
    """Decide what identity has left: fragments, errors, rules, replies, and drop."""
    rules = [r for r in wanted.in_force if r.direction is way]
    asked = [r for r in wanted.in_force if r.direction is not way]
    if wanted.replies is Replies.NONE:
        asked = []
    proven: Choice = ANYTHING if proof is None else (proof.reply,)
    found = _later(wanted, way, version, (rules, asked), proven, shared)
    if wanted.errors:
        found += _errors(wanted, way, version, proof, shared)
    for rule in rules:
        found += lines(rule.id, *_opens(rule, way, version, shared), allow=True)
    for rule in asked:
        for choices in _answers(rule, way, version, shared):
            found += lines(means.REPLY + rule.id, *choices, proven, allow=True)
    return [*found, *lines(means.BY_DEFAULT, ANYTHING)]


def _later(
    wanted: Filter,
    way: Direction,
    version: int,
    rules: tuple[list[Rule], list[Rule]],
    proven: Choice,
    shared: Shared,
) -> list[Line]:
    """Decide fragments without a header; of TCP none passes (RFC 3128)."""
    bits_ = _FRAGMENT[version]
    later: Test = (x.fragment_header(), x.mask(bits_), x.compare(Is.OTHER, bytes(2)))
    if version == 4:
        later = bits(At.NETWORK, 6, bits_, bytes(2), Is.OTHER)
    if not wanted.fragments:
        return lines(means.FRAGMENT, (later,))
    no_tcp: Test = (x.about(Key.PROTOCOL), x.compare(Is.OTHER, bytes([TCP])))
    found: list[Line] = []
    for rule in rules[0]:
        found += lines(rule.id, (later,), (no_tcp,), *_who(rule, way, version, shared), allow=True)
    for rule in rules[1]:
        who = _who(rule, way, version, shared)
        found += lines(means.REPLY + rule.id, (later,), (no_tcp,), *who, proven, allow=True)
    return [*found, *lines(means.BY_DEFAULT, (later,))]


def _errors(wanted: Filter, way: Direction, version: int, proof: Proof | None, shared: Shared) -> list[Line]:
    at = _QUOTED[version, way]
    types = numbers(0, tuple(sorted(means.ERRORS[_MINE[version]])), shared)
    about_us = mine(wanted, At.TRANSPORT, at, shared, version)
    there: Test = (x.load(At.TRANSPORT, at, 4 if version == 4 else 16),)
    known: Choice = ANYTHING if proof is None else (proof.related,)
    return lines(means.ERROR, (protocol(_MINE[version]),), types, (there,), about_us, known, allow=True)


def _who(rule: Rule, way: Direction, version: int, shared: Shared) -> tuple[Choice, Choice]:
    """Test protocol and peer."""
    at = SOURCE[version] if way is Direction.IN else TARGET[version]
    peers = networks(At.NETWORK, at, rule.peers, shared, version) if rule.peers else ANYTHING
    foreign = _MINE[10 - version]
    if rule.protocol == foreign:
        return (), ()
    if rule.protocol is not None:
        return (protocol(rule.protocol),), peers
    return ((x.about(Key.PROTOCOL), x.compare(Is.OTHER, bytes([foreign]))),), peers


def _opens(rule: Rule, way: Direction, version: int, shared: Shared) -> tuple[Choice, ...]:
    return (
        *_who(rule, way, version, shared),
        ports(2, rule.ports, shared),
        ports(0, rule.client_ports, shared),
        numbers(0, rule.types, shared) if rule.types else ANYTHING,
    )


def _answers(rule: Rule, way: Direction, version: int, shared: Shared) -> list[tuple[Choice, ...]]:
    """Test for the form of an answer; a rule for all protocols has one form for each kind of them."""
    who, peers = _who(rule, way, version, shared)
    swapped = (ports(0, rule.ports, shared), ports(2, rule.client_ports, shared))
    no_opening = bits(At.TRANSPORT, 13, bytes([OPENING.mask]), bytes([OPENING.value]), Is.OTHER)
    echo = _MINE[version]
    answers = tuple(
        answer
        for request, answer in sorted(means.ANSWERS[echo].items())
        if not rule.types or request in rule.types
    )
    of_echo: tuple[Choice, ...] = ((protocol(echo),), peers, numbers(0, answers, shared))
    if rule.protocol == TCP:
        return [(who, peers, (no_opening,), *swapped)]
    if rule.protocol == echo:
        return [of_echo]
    if rule.protocol is not None:
        return [(who, peers, *swapped)]
    named = (TCP, ICMP, ICMPV6)
    others: Test = (x.about(Key.PROTOCOL), *(x.compare(Is.OTHER, bytes([each])) for each in named))
    return [((protocol(TCP),), peers, (no_opening,)), of_echo, ((others,), peers)]
