"""Log-in to WebHDFS by Kerberos (SPNEGO, RFC 4559), with tickets from a keytab.

In   RISK_KERBEROS_PRINCIPAL=risk@EXAMPLE.COM, RISK_KERBEROS_KEYTAB=/etc/security/keytabs/risk.keytab
Out  the header `Authorization: Negotiate …` wherever a server asks for it

Tickets stay in the memory of this process. The Kerberos library takes new ones from the keytab before they
expire, so a client can live as long as it likes; neither `kinit` nor a ticket cache is needed.
"""

import base64
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.auth import AuthBase

from model_registry.errors import KdcDownError, TicketRefusedError

try:
    import gssapi
except ImportError:  # optional: its build needs Kerberos's C headers
    gssapi = None

SPNEGO = "1.3.6.1.5.5.2"

# What the Kerberos library says, and what to do then.
WAYS_OUT = {
    "clock skew|ticket expired|not yet valid": "set the clocks of this machine and of the KDC",
    r"server \S+ not found": "call WebHDFS by the host name of its principal HTTP/<host>",
    r"client \S+ not found": "correct RISK_KERBEROS_PRINCIPAL, or let an administrator add it",
    "decrypt integrity check|preauthentication failed": "export the keytab anew: the principal's key has changed since",
    # What it says of a keytab without a key of the principal.
    "no credentials cache found|no suitable keys": "correct RISK_KERBEROS_PRINCIPAL, or export a keytab of it",
}


@dataclass(frozen=True)
class KeytabLogin(AuthBase):
    """Answers a server's `WWW-Authenticate: Negotiate` with a ticket for it."""

    principal: str
    keytab: Path

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.register_hook("response", self.answer_challenge)
        return request

    def answer_challenge(self, response: requests.Response, **sending: Any) -> requests.Response:
        """Send a refused request once more, with a ticket.

        A NameNode then sets a cookie, so that a session's later requests are not refused first. DataNodes ask
        for nothing: the address to which the NameNode redirects holds a token.
        """
        challenge = response.headers.get("WWW-Authenticate", "")
        request = response.request
        if (
            response.status_code != 401
            or "negotiate" not in challenge.lower()
            or "Authorization" in request.headers
        ):
            return response
        _ = response.content  # read to its end, so that the connection can be used again
        request = request.copy()
        request.headers["Authorization"] = f"Negotiate {self.ticket_for(str(urlsplit(request.url).hostname))}"
        answer: requests.Response = response.connection.send(request, **sending)
        answer.history.append(response)
        return answer

    def ticket_for(self, host: str) -> str:
        """Return the ticket for `HTTP/host`, in base64.

        Raises:
            KdcDownError: no KDC answers.
            TicketRefusedError: any other reason of Kerberos.
        """
        with named_refusal(f"a ticket of {self.principal} for HTTP/{host} by {self.keytab}"):
            context = gssapi.SecurityContext(
                usage="initiate",
                name=gssapi.Name(f"HTTP@{host}", gssapi.NameType.hostbased_service),
                mech=gssapi.OID.from_int_seq(SPNEGO),
                creds=self.credentials(),
            )
            return base64.b64encode(context.step()).decode()

    def credentials(self) -> Any:
        """The process's ticket of the principal; a new one if it has none, or an old one."""
        return gssapi.Credentials(
            usage="initiate",
            name=gssapi.Name(self.principal, gssapi.NameType.kerberos_principal),
            store={
                "client_keytab": f"FILE:{self.keytab}",
                "ccache": f"MEMORY:{self.keytab}:{self.principal}",
            },
        )


def keytab_login(principal: str, keytab: Path) -> KeytabLogin:
    """Build the log-in.

    Raises:
        TicketRefusedError: the package gssapi is not installed.
    """
    if gssapi is None:
        raise TicketRefusedError(
            f"the Python package gssapi, to log in as {principal}",
            "none",
            "apt-get install libkrb5-dev, then pip install --no-deps --require-hashes -r kerberos.lock",
        )
    return KeytabLogin(principal, keytab.resolve())


@contextmanager
def named_refusal(expected: str) -> Iterator[None]:
    """Turn an error of the Kerberos library into one that says what to do."""
    try:
        yield
    except gssapi.exceptions.GSSError as error:
        found = " ".join(error.gen_message().split())
        text = found.lower()
        if "cannot contact any kdc" in text:
            raise KdcDownError(expected, found, "start a KDC of the realm in krb5.conf") from error
        ways = [way for said, way in WAYS_OUT.items() if re.search(said, text)]
        way_out = ways[0] if ways else "see what `kinit -k -t` of the same keytab and principal says"
        raise TicketRefusedError(expected, found, way_out) from error
