"""What proves this agent to the agents of other hosts: its identity of the moment, renewed ones at once."""

import ssl

from yamori.agent.protocol.tls import peer_context
from yamori.agent.service.identity import IdentityFile


class Credentials:
    """Fulfils ``passage.Contexts``."""

    def __init__(self, file: IdentityFile) -> None:
        self._file = file
        self._stamp: tuple[int, int] | None = None
        self._made: dict[bool, ssl.SSLContext] = {}

    def context(self, *, server_side: bool) -> ssl.SSLContext:
        """Return the context for one end. Raises NotFound before the enrolment, Untrusted, BadCertificate."""
        stamp = self._file.stamp()
        if stamp is None or stamp != self._stamp:
            identity = self._file.read()
            self._made = {
                side: peer_context(
                    identity.authority_pem, identity.certificate_pem, identity.key, server_side=side
                )
                for side in (False, True)
            }
            self._stamp = stamp
        return self._made[server_side]
