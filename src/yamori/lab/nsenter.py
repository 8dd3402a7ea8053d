"""Sockets that belong to another network namespace; a socket stays in the namespace in which it was made."""

from __future__ import annotations

import ctypes
import os
import socket
import threading
from pathlib import Path

from yamori.lab.network import NETNS_ROOT
from yamori.model.errors import NotFound

_CLONE_NEWNET = 0x40000000  # <linux/sched.h>
_libc = ctypes.CDLL(None, use_errno=True)


def socket_in(namespace: str, kind: socket.SocketKind) -> socket.socket:
    """Make an IPv4 socket inside a named network namespace; raises NotFound when there is no such namespace.

    A thread of its own enters the namespace and ends, so no other thread of this process ever sees it.
    """
    path = NETNS_ROOT / namespace
    made: list[socket.socket] = []
    errors: list[OSError] = []

    def make() -> None:
        try:
            _enter(path)
            made.append(socket.socket(socket.AF_INET, kind))
        except OSError as error:
            errors.append(error)

    thread = threading.Thread(target=make, name=f"netns {namespace}")
    thread.start()
    thread.join()
    if errors:
        raise NotFound(f"cannot enter network namespace {namespace}: {errors[0].strerror}") from errors[0]
    return made[0]


def _enter(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _libc.setns(handle, _CLONE_NEWNET) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
    finally:
        os.close(handle)
