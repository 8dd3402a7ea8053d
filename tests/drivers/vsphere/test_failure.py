"""Each of the server's faults becomes the error of ours that says who must act."""

import http.client
import ssl
from typing import Any

import pytest
from pyVmomi import vim, vmodl

from yamori.drivers.vsphere.failure import text_of, translate
from yamori.drivers.vsphere.wire import Garbled
from yamori.model.errors import (
    Busy,
    Conflict,
    Failed,
    Interrupted,
    Invalid,
    NotFound,
    NotPermitted,
    Rejected,
    TimedOut,
    Unreachable,
    Unsupported,
)

CASES: list[tuple[BaseException, type[Exception]]] = [
    (vmodl.fault.ManagedObjectNotFound(), NotFound),
    (vim.fault.InvalidPowerState(), Conflict),
    (vim.fault.ToolsUnavailable(), Conflict),
    (vim.fault.ConcurrentAccess(), Conflict),
    (vim.fault.InvalidState(), Conflict),
    (vim.fault.TaskInProgress(), Busy),
    (vim.fault.ResourceInUse(), Busy),
    (vim.fault.NoPermission(privilegeId="VirtualMachine.Config.Resource"), NotPermitted),
    (vim.fault.InvalidLogin(), Rejected),
    (vmodl.fault.SecurityError(), NotPermitted),
    (vmodl.fault.HostCommunication(), Unreachable),
    (vmodl.fault.RequestCanceled(), Interrupted),
    (vmodl.fault.InvalidArgument(), Invalid),
    (vmodl.fault.MethodNotFound(), Unsupported),
    (vmodl.fault.NotSupported(), Unsupported),
    (vim.fault.Timedout(), TimedOut),
    (vim.fault.InsufficientCpuResourcesFault(), Failed),
    (vmodl.fault.SystemError(), Rejected),
    (TimeoutError(), TimedOut),
    (ConnectionResetError("x"), Unreachable),
    (ssl.SSLError("x"), Unreachable),
    (http.client.RemoteDisconnected("x"), Unreachable),
    (http.client.IncompleteRead(b""), Unreachable),
    (Garbled("x"), Rejected),
]


@pytest.mark.parametrize(("fault", "ours"), CASES, ids=lambda v: getattr(type(v), "__name__", "x")[-40:])
def test_each_fault_says_who_must_act(fault: Any, ours: type[Exception]) -> None:
    assert type(translate(fault, capability="power", subject="vm", endpoint="vc")) is ours


def test_a_privilege_that_lacks_is_named_with_its_mend() -> None:
    fault = vim.fault.NoPermission(privilegeId="VirtualMachine.Config.Resource")
    told = translate(fault, capability="limits", subject="vm", endpoint="vc")
    assert told.message == "the account lacks VirtualMachine.Config.Resource"
    assert told.mend is not None


def test_the_server_s_words_are_bounded_and_printable() -> None:
    fault = vmodl.fault.SystemError()
    fault.msg = "\x1b[31m\u202e" + "x" * 100_000
    assert text_of(fault).isprintable()
    assert len(text_of(fault)) < 400
