"""Which of the privileges in role.json the account has, asked of the server on some of its VMs."""

import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from yamori.drivers.vsphere.collector import one
from yamori.drivers.vsphere.failure import FAULTS, SESSION_OVER, text_of
from yamori.drivers.vsphere.link import Link
from yamori.model.support import Cell, Level

ROLE: Mapping[str, Any] = json.loads(files(__package__).joinpath("role.json").read_text(encoding="utf-8"))
NEEDED: Mapping[str, Sequence[str]] = ROLE["features"]
"""Privileges by feature."""
ON_VMS = frozenset(each for needed in NEEDED.values() for each in needed if each.startswith("VirtualMachine."))
"""Those that count on the VM itself; others belong to hosts, pools and datastores and show when they are used."""
_NOT_CHECKED = "the account's privileges could not be checked"

Lacking = Mapping[str, tuple[int, int]]
"""By privilege: on how many of how many VMs it lacks."""


def lacking(link: Link, vms: Sequence[Any]) -> Lacking | str:
    """Ask on these VMs, or on the root folder when there are none. A text says why it could not be asked."""
    entities = list(vms) or [link.content.rootFolder]
    wanted = sorted(ON_VMS)
    try:
        session = one(link, link.content.sessionManager, ("currentSession",)).values.get("currentSession")
        told = link.content.authorizationManager.HasPrivilegeOnEntities(
            entity=entities, sessionId=getattr(session, "key", None) or "", privId=wanted
        )
    except SESSION_OVER:
        raise
    except FAULTS as error:
        return f"{_NOT_CHECKED}: {text_of(error)}"
    return counted(told or [], wanted, len(entities))


def counted(told: Sequence[Any], wanted: Sequence[str], entities: int) -> Lacking | str:
    """Count what was told (vSphere API: EntityPrivilege). What was not told of everything is not checked."""
    granted = dict.fromkeys(wanted, 0)
    refused = dict.fromkeys(wanted, 0)
    for each in told:
        for availability in each.privAvailability:
            if availability.privId in granted:
                counts = granted if availability.isGranted is True else refused
                counts[availability.privId] += 1
    if any(granted[name] + refused[name] < entities for name in wanted):
        return f"{_NOT_CHECKED}: the server told only of some"
    return {name: (number, entities) for name, number in refused.items() if number}


def cell(feature: str, found: Lacking | str) -> Cell:
    """What the privileges mean for one feature. A feature that needs none of them is NATIVE."""
    needed = [each for each in NEEDED.get(feature, ()) if each in ON_VMS]
    if not needed or not found:
        return Cell(level=Level.NATIVE)
    if isinstance(found, str):
        return Cell(level=Level.NATIVE, reason=found[:250])
    missing = [each for each in needed if each in found]
    if not missing:
        return Cell(level=Level.NATIVE)
    everywhere = [each for each in missing if found[each][0] == found[each][1]]
    if everywhere:
        words = ", ".join(everywhere)
        return Cell(level=Level.NONE, reason=f"the account lacks {words}: add it to its role (role.json)"[:290])
    number, of = found[missing[0]]
    return Cell(level=Level.NATIVE, reason=f"the account lacks {missing[0]} on {number} of {of} VMs looked at")
