"""libvirt's errors, sorted by who must act."""

import libvirt
import pytest

from yamori.drivers.libvirt.failure import of_dialling, of_link, translate
from yamori.model.errors import (
    BadCertificate,
    Busy,
    Conflict,
    Interrupted,
    Invalid,
    NotFound,
    NotPermitted,
    Rejected,
    Unreachable,
    Unsupported,
    YamoriError,
)


def _error(
    code: int, *, domain: int = libvirt.VIR_FROM_QEMU, message: str = "it did not work"
) -> libvirt.libvirtError:
    error = libvirt.libvirtError(message)
    error.err = (code, domain, message, 2, None, None, None, 0, 0)
    return error


@pytest.mark.parametrize(
    ("code", "wanted"),
    [
        (libvirt.VIR_ERR_NO_DOMAIN, NotFound),
        (libvirt.VIR_ERR_OPERATION_INVALID, Conflict),
        (libvirt.VIR_ERR_MIGRATE_UNSAFE, Conflict),
        (libvirt.VIR_ERR_OPERATION_DENIED, NotPermitted),
        (libvirt.VIR_ERR_ACCESS_DENIED, NotPermitted),
        (libvirt.VIR_ERR_INVALID_ARG, Invalid),
        (libvirt.VIR_ERR_OPERATION_TIMEOUT, Busy),
        (libvirt.VIR_ERR_OPERATION_ABORTED, Interrupted),
        (libvirt.VIR_ERR_NO_SUPPORT, Unsupported),
        (libvirt.VIR_ERR_CONFIG_UNSUPPORTED, Unsupported),
        (libvirt.VIR_ERR_INTERNAL_ERROR, Rejected),
        (999_999, Rejected),
    ],
)
def test_each_error_says_who_must_act(code: int, wanted: type[YamoriError]) -> None:
    found = translate(_error(code), capability="limits", subject="vm-1")
    assert type(found) is wanted
    assert found.subject == "vm-1"
    assert "it did not work" in str(found)


def test_what_libvirt_says_is_one_bounded_line() -> None:
    found = translate(_error(1, message="a\nb\x1b[31m" + "x" * 9999), capability="c", subject=None)
    assert found.message.startswith("a b [31mx")
    assert len(found.message) <= 400


def test_an_error_of_the_wire_is_told_from_one_of_the_hypervisor() -> None:
    assert of_link(_error(38, domain=libvirt.VIR_FROM_RPC))
    assert of_link(_error(libvirt.VIR_ERR_INVALID_CONN))
    assert not of_link(_error(38, domain=libvirt.VIR_FROM_QEMU))


@pytest.mark.parametrize(
    ("error", "wanted"),
    [
        (_error(libvirt.VIR_ERR_AUTH_FAILED), NotPermitted),
        (_error(libvirt.VIR_ERR_SYSTEM_ERROR, message="The certificate is not trusted"), BadCertificate),
        (_error(libvirt.VIR_ERR_SYSTEM_ERROR, message="Connection refused"), Unreachable),
    ],
)
def test_what_keeps_us_from_connecting_is_named(error: libvirt.libvirtError, wanted: type[YamoriError]) -> None:
    assert type(of_dialling(error, subject="host-a")) is wanted
