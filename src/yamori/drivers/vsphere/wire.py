"""SOAP over HTTPS as pyVmomi's stub: bounded answers, a deadline for each call, calls that can be cut off.

pyVmomi's own transport reads answers of any size and, for localhost, forgets about certificates.
"""

import contextlib
import http.client
import select
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pyVmomi.SoapAdapter import SoapResponseDeserializer, SoapStubAdapterBase

from yamori.drivers.vsphere import series

_MOST_ANSWER_BYTES = 512 << 20
_CHUNK_BYTES = 1 << 18
_MOST_IDLE = 4
_IDLE_SECONDS = 30.0
_USUAL_SECONDS = 30.0
_MOST_COOKIE = 4096
_PLAIN: Mapping[str, Callable[[bytes], Any]] = {"QueryPerf": series.read}
"""Methods whose answer is read by us: pyVmomi would take most of a tick for it."""


class Garbled(Exception):
    """The server's answer is not what the vSphere API says it is."""


class Retired(ConnectionAbortedError):
    """Nothing was sent: the session that this belongs to is over."""


class Wire(SoapStubAdapterBase):  # type: ignore[misc]  # pyVmomi is not typed
    """One server. Thread-safe; every call opens or borrows a connection of its own.

    ``calls`` counts what was asked, by method; ``within`` bounds the calls of the present thread in time.
    """

    def __init__(self, host: str, port: int, tls: ssl.SSLContext, version: str) -> None:
        super().__init__(version=version)
        self.host, self.port = host, port
        self.calls: Counter[str] = Counter()
        self.requestContext = None  # read by pyVmomi's serializer
        self._tls = tls
        self._cookie = ""
        self._lock = threading.Lock()
        self._idle: list[tuple[http.client.HTTPSConnection, float]] = []
        self._busy: dict[int, http.client.HTTPSConnection] = {}
        self._limit = threading.local()
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._closed

    @contextlib.contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Have the calls of this thread end within so many seconds, counted from here."""
        self._limit.deadline = time.monotonic() + seconds
        try:
            yield
        finally:
            del self._limit.deadline

    def cut(self, thread: int) -> None:
        """Cut off whatever a thread waits for; its call fails with OSError."""
        with self._lock:
            connection = self._busy.get(thread)
        if connection is not None:
            _sever(connection)

    def retire(self) -> None:
        """Begin nothing more; let those who wait for an answer have it. Idempotent."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection, _ in idle:
            connection.close()

    def close(self) -> None:
        """Close all connections, also those that are waited on. Idempotent."""
        self.retire()
        with self._lock:
            busy = list(self._busy.values())
        for connection in busy:
            _sever(connection)

    def InvokeMethod(self, mo: Any, info: Any, args: Any, outerStub: Any = None) -> Any:  # noqa: N802, N803 - pyVmomi's
        """Call a method for pyVmomi and return its result, or raise the fault that the server answered with.

        Raises OSError and HTTPException of the transport, Garbled for an answer that is none.
        """
        self.calls[info.wsdlName] += 1
        status, body = self._exchange(self.SerializeRequest(mo, info, args))
        if status == http.client.OK and info.wsdlName in _PLAIN:
            return self._parsed(body, _PLAIN[info.wsdlName])
        answer = self._parsed(body, lambda whole: SoapResponseDeserializer(self).Deserialize(whole, info.result))
        if status == http.client.OK:
            expected = info.result
            if answer is not None and isinstance(expected, type) and not isinstance(answer, expected):
                raise Garbled(f"{info.wsdlName} was answered with a {type(answer).__name__}"[:200])
            return answer
        if isinstance(answer, Exception):
            raise answer
        raise Garbled(f"{info.wsdlName} failed without a fault")

    def _parsed(self, body: bytes, parse: Callable[[bytes], Any]) -> Any:
        if b"\x00" in body or b"<!DOCTYPE" in body or b"<!ENTITY" in body:
            raise Garbled("the answer is no plain XML in UTF-8")
        if b"Envelope" not in body[:4096]:
            raise Garbled("the answer is no SOAP message")
        try:
            return parse(body)
        except Exception as error:  # noqa: BLE001 - the edge to pyVmomi's parser: whatever breaks in it on bad input
            raise Garbled(f"the answer cannot be read: {type(error).__name__}: {error}"[:300]) from None

    def _exchange(self, request: bytes) -> tuple[int, bytes]:
        connection = self._borrow()
        me = threading.get_ident()
        with self._lock:
            self._busy[me] = connection
        keep = False
        try:
            headers = {"Content-Type": "text/xml; charset=UTF-8", "SOAPAction": self.versionId}
            if self._cookie:
                headers["Cookie"] = self._cookie
            if connection.sock is None:
                connection.timeout = self._seconds_left()
                connection.connect()
            connection.sock.settimeout(self._seconds_left())
            connection.request("POST", "/sdk", request, headers)
            response = connection.getresponse()
            body = self._read(connection, response)
            self._remember(response.getheader("Set-Cookie"))
            if response.status not in (http.client.OK, http.client.INTERNAL_SERVER_ERROR):
                raise http.client.HTTPException(f"the server answered {response.status:d} instead of SOAP")
            keep = not response.will_close
            return response.status, body
        finally:
            with self._lock:
                self._busy.pop(me, None)
                keep = keep and not self._closed and len(self._idle) < _MOST_IDLE
                if keep:
                    self._idle.append((connection, time.monotonic()))
            if not keep:
                connection.close()

    def _read(self, connection: http.client.HTTPSConnection, response: http.client.HTTPResponse) -> bytes:
        parts: list[bytes] = []
        size = 0
        while chunk := response.read1(_CHUNK_BYTES):
            size += len(chunk)
            if size > _MOST_ANSWER_BYTES:
                raise Garbled(f"the answer is longer than {_MOST_ANSWER_BYTES >> 20} MiB")
            parts.append(chunk)
            left = self._seconds_left()
            if connection.sock is not None:
                connection.sock.settimeout(left)
        if response.length:
            raise http.client.IncompleteRead(b"", response.length)
        response.close()  # read1 leaves it open, and then the connection takes no other request
        return b"".join(parts)

    def _borrow(self) -> http.client.HTTPSConnection:
        now = time.monotonic()
        with self._lock:
            if self._closed:
                raise Retired("the connection was closed")
            while self._idle:
                connection, since = self._idle.pop()
                if now - since < _IDLE_SECONDS and not _was_closed(connection):
                    return connection
                connection.close()
        return http.client.HTTPSConnection(self.host, self.port, context=self._tls)

    def _seconds_left(self) -> float:
        deadline = getattr(self._limit, "deadline", None)
        left = _USUAL_SECONDS if deadline is None else deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("no answer in time")
        return float(left)

    def _remember(self, cookie: str | None) -> None:
        """Keep the session's cookie, without its attributes."""
        if cookie is not None and len(cookie) <= _MOST_COOKIE:
            self._cookie = cookie.partition(";")[0]


def _was_closed(connection: http.client.HTTPSConnection) -> bool:
    """Whether the other side has closed an idle connection: then there is something to read, its end."""
    if connection.sock is None:
        return True
    try:
        return bool(select.select([connection.sock], [], [], 0)[0])
    except (OSError, ValueError):
        return True


def _sever(connection: http.client.HTTPSConnection) -> None:
    """Wake whoever reads from the connection, from another thread."""
    sock = connection.sock
    if sock is not None:
        with contextlib.suppress(OSError):
            socket.socket.shutdown(sock, socket.SHUT_RDWR)
