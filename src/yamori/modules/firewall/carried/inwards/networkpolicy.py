"""Kubernetes NetworkPolicy: one or many in a file of YAML or JSON.

Source: API networking.k8s.io/v1, NetworkPolicySpec (kubernetes.io/docs/reference/kubernetes-api/policy-resources).
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any

from yamori.model.errors import Invalid
from yamori.model.filter_rule import TCP, UDP, Span
from yamori.modules.firewall.carried.lost import Carried
from yamori.modules.firewall.carried.manyyaml import documents
from yamori.modules.firewall.carried.plainjson import listed, mapping, text
from yamori.modules.firewall.carried.sheet import Sheet, literal
from yamori.modules.firewall.groups import At, Unmatched
from yamori.modules.firewall.networks import without
from yamori.modules.firewall.service import ANY, Match
from yamori.policy.document import Document, Path
from yamori.policy.selectors import Selector

NAMESPACE = "namespace"
"""The label by which a VM says which namespace it is in."""
_NAME = "kubernetes.io/metadata.name"
_PROTOCOLS = {"TCP": TCP, "UDP": UDP, "SCTP": 132}
_SPEC = {"podSelector", "policyTypes", "ingress", "egress"}


class _Left(Exception):
    """Why something is left out, and where in its document."""

    def __init__(self, why: str, *at: str | int) -> None:
        self.at = at
        super().__init__(why)


def read(untrusted_text: str | bytes, source: str) -> Carried:
    """Read network policies. Raises Invalid when a document cannot be read, or none is a policy."""
    sheet = Sheet(source)
    sheet.default(default=Unmatched(into=True, out=True))
    policies = list(_policies(sheet, untrusted_text, source))
    if not policies:
        raise Invalid(f"{source}: there is no NetworkPolicy in it", subject=source)
    for document, at, policy in policies:
        _Policy(sheet, document, at, policy).carry()
    return sheet.carried()


def _policies(
    sheet: Sheet, untrusted_text: str | bytes, source: str
) -> Iterator[tuple[Document, Path, dict[str, Any]]]:
    for document in documents(untrusted_text, source):
        value = mapping(document.value)
        items = listed(value.get("items")) if text(value.get("kind")).endswith("List") else None
        for at, each in [((), value)] if items is None else [(("items", n), e) for n, e in enumerate(items)]:
            kind = text(mapping(each).get("kind"), 60)
            if kind == "NetworkPolicy" or (kind == "" and items is not None):
                yield document, at, mapping(each)
            else:
                sheet.lose(document.line(at, f"kind {kind or 'none'}"), "only NetworkPolicy is carried over")


class _Policy:
    """One policy on its way into a group and its rules."""

    def __init__(self, sheet: Sheet, document: Document, at: Path, policy: dict[str, Any]) -> None:
        meta = mapping(policy.get("metadata"))
        self._sheet, self._document, self._at = sheet, document, at
        self._spec = mapping(policy.get("spec"))
        self._namespace = text(meta.get("namespace"), 63) or None
        self._title = (
            f"{self._namespace}/{text(meta.get('name'), 60)}" if self._namespace else text(meta.get("name"))
        )

    def carry(self) -> None:
        try:
            self._known(self._spec, _SPEC)
            select = self._pods(self._spec.get("podSelector"), self._namespace, "podSelector")
        except _Left as why:
            self._lose("the whole policy", why, "spec")
            return
        types = [text(each) for each in listed(self._spec.get("policyTypes"))]
        if not types:
            types = ["Ingress", "Egress"] if "egress" in self._spec else ["Ingress"]
        group = self._sheet.group(
            self._title or "policy",
            select=select,
            default=Unmatched(into="Ingress" not in types, out="Egress" not in types),
        )
        for key, kind in (("ingress", "Ingress"), ("egress", "Egress")):
            for number, rule in enumerate(listed(self._spec.get(key)) if kind in types else []):
                self._rule(group, key, number, rule)

    def _rule(self, group: str, key: str, number: int, untrusted_rule: Any) -> None:
        rule, peer_key = mapping(untrusted_rule), "from" if key == "ingress" else "to"
        title = f"{self._title} {key} {number + 1}"
        try:
            self._known(rule, {peer_key, "ports"})
        except _Left as why:
            self._lose(f"rule {title}", why, "spec", key, number)
            return
        for part in (peer_key, "ports"):
            if not isinstance(rule.get(part), list | None):
                self._lose(f"rule {title}", _Left("this is no list"), "spec", key, number, part)
                return
        peers, matches = [ANY], [Match()]
        if listed(rule.get(peer_key)):
            peers = [word for each in self._each(rule, title, key, number, peer_key, self._peer) for word in each]
        if listed(rule.get("ports")):
            matches = self._each(rule, title, key, number, "ports", _port)
        if key == "ingress":
            self._sheet.allow(title, calling=peers, called=[group], matches=matches, at=At.TO)
        else:
            self._sheet.allow(title, calling=[group], called=peers, matches=matches, at=At.FROM)

    def _each(
        self, rule: dict[str, Any], title: str, key: str, number: int, part: str, read_one: Any
    ) -> list[Any]:
        found = []
        for index, each in enumerate(listed(rule.get(part))):
            try:
                found.append(read_one(each))
            except _Left as why:
                self._lose(f"rule {title}: one of its {part}", why, "spec", key, number, part, index)
        return found

    def _peer(self, untrusted_peer: Any) -> list[str]:
        peer = mapping(untrusted_peer)
        self._known(peer, {"podSelector", "namespaceSelector", "ipBlock"})
        if not peer:
            raise _Left("it names nobody")
        if "ipBlock" in peer:
            return _block(self._sheet, mapping(peer["ipBlock"]))
        namespace = self._namespace
        parts: list[Selector] = []
        if "namespaceSelector" in peer:
            namespace = None
            parts.append(_spaces(peer["namespaceSelector"]))
        pods = self._pods(peer.get("podSelector"), namespace, "podSelector")
        select = _joint([*parts, pods])
        name = _words(select) or "all pods"
        known = self._sheet.known(select)
        return [known or self._sheet.group(name, select=select, default=Unmatched(into=True, out=True))]

    def _pods(self, untrusted_selector: Any, namespace: str | None, key: str) -> Selector:
        inside = [] if namespace is None else [Selector(label={NAMESPACE: (literal(namespace),)})]
        return _joint([*inside, *_conditions(untrusted_selector, key)])

    def _known(self, there: dict[str, Any], keys: set[str]) -> None:
        for key in there:
            if key not in keys:
                raise _Left(f"{text(key, 60)!r} is not known here", key)

    def _lose(self, what: str, why: _Left, *at: str | int) -> None:
        self._sheet.lose(self._document.line((*self._at, *at, *why.at), what), str(why))


def _conditions(untrusted_selector: Any, key: str) -> Iterator[Selector]:
    """Return a selector for each condition (LabelSelector, API meta/v1)."""
    selector = mapping(untrusted_selector)
    labels, expressions = selector.get("matchLabels"), selector.get("matchExpressions")
    sound = isinstance(labels, dict | None) and isinstance(expressions, list | None)
    if not isinstance(untrusted_selector, dict | None) or not sound:
        raise _Left("this is no selector", key)
    for name in selector:
        if name not in ("matchLabels", "matchExpressions"):
            raise _Left(f"{text(name, 60)!r} is not known here", key, name)
    for name, value in mapping(selector.get("matchLabels")).items():
        yield Selector(label={name: (literal(text(value)) or "?",)})
    for number, expression in enumerate(map(mapping, listed(selector.get("matchExpressions")))):
        name, how = text(expression.get("key")), text(expression.get("operator"))
        values = tuple(literal(text(each)) for each in listed(expression.get("values")))
        if how in ("In", "NotIn") and name and all(values) and values:
            chosen = Selector(label={name: values})
        elif how in ("Exists", "DoesNotExist") and name and not values:
            chosen = Selector(label={name: ("*",)})
        else:
            raise _Left(f"{how!r} with these values is not known here", key, "matchExpressions", number)
        yield chosen if how in ("In", "Exists") else Selector.model_validate({"not": chosen})


def _spaces(selector: Any) -> Selector:
    """Return which namespaces are meant: their names are known, their labels are not."""
    parts = list(_conditions(selector, "namespaceSelector"))
    for part in parts:
        inner = part.not_ or part
        if list(inner.label or ()) != [_NAME]:
            raise _Left(
                f"labels of namespaces are not known here, only their names ({_NAME})", "namespaceSelector"
            )
    renamed = []
    for part in parts:
        inner = Selector(label={NAMESPACE: ((part.not_ or part).label or {})[_NAME]})
        renamed.append(inner if part.not_ is None else Selector.model_validate({"not": inner}))
    return _joint(renamed)


def _joint(parts: list[Selector]) -> Selector:
    """Join conditions by and, as plainly as can be."""
    plain: dict[str, tuple[str, ...]] = {}
    rest: list[Selector] = []
    for part in parts:
        for inner in part.all or (part,):
            if inner.model_fields_set <= {"label"} and not plain.keys() & (inner.label or {}).keys():
                plain |= inner.label or {}
            else:
                rest.append(inner)
    if not rest:
        return Selector(label=plain) if plain else Selector()
    both = ([Selector(label=plain)] if plain else []) + rest
    return both[0] if len(both) == 1 else Selector(all=tuple(both))


def _words(select: Selector) -> str:
    found = [f"{name}={'|'.join(values)}" for name, values in (select.label or {}).items()]
    found += [_words(part) for part in select.all or ()]
    found += [f"not {_words(select.not_)}"] if select.not_ else []
    return " ".join(found)


def _block(sheet: Sheet, block: dict[str, Any]) -> list[str]:
    try:
        whole = ip_network(text(block.get("cidr")), strict=False)
        parts = [ip_network(text(each), strict=False) for each in listed(block.get("except"))]
    except ValueError:
        raise _Left("this is no prefix", "ipBlock") from None
    return sheet.network(f"{whole} with exceptions", without(whole, parts))


def _port(untrusted_port: Any) -> Match:
    port = mapping(untrusted_port)
    for key in port:
        if key not in ("protocol", "port", "endPort"):
            raise _Left(f"{text(key, 60)!r} is not known here", key)
    word = text(port.get("protocol")) or "TCP"
    if word not in _PROTOCOLS:
        raise _Left(f"protocol {word!r} is not known here", "protocol")
    low = port.get("port")
    if low is None:
        return Match(protocol=_PROTOCOLS[word])
    if not isinstance(low, int) or isinstance(low, bool):
        raise _Left("a port by name is known only to its pod", "port")
    high = port.get("endPort", low)
    if not isinstance(high, int) or not 0 <= low <= high <= 65535:
        raise _Left("this is no range of ports", "port")
    if word == "SCTP":
        raise _Left("ports of SCTP are not looked at here", "port")
    return Match(protocol=_PROTOCOLS[word], ports=(Span(low=low, high=high),))
