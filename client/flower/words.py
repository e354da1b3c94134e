"""Why the SuperNode does not reach the server, in words that a hospital's admin can act on."""

from __future__ import annotations

import re
import ssl
from socket import gaierror

import httpx

_STATUS = {
    401: "the server does not accept this site's certificate or key: not registered there yet, "
    "expired or revoked",
    403: "the server forbids what this site asked for",
    404: "what answers there is no server of ours",
    407: "the proxy wants a user and a password, or other ones",
    429: "the server says that it is asked too often",
    502: "the server's gateway answers, its SuperLink does not",
    503: "the server's gateway answers, its SuperLink does not",
    504: "the server's gateway answers, its SuperLink does not",
}
_STILL_ONLINE = "the server counts the SuperNode before this one as online yet, for up to a minute"
_CODE_STILL_ONLINE = b'"code":2004'


def words_of_status(response: httpx.Response) -> str:
    """What a response that is not a success means; its body must have been read."""
    if _CODE_STILL_ONLINE in response.content.replace(b" ", b""):
        return _STILL_ONLINE
    known = _STATUS.get(response.status_code, "the server answers with an error")
    return f"{known} (status {response.status_code})"


def words_of_failure(error: Exception) -> str:
    """What a failure to get any response means; no words of other libraries are in it."""
    if isinstance(error, httpx.ProxyError):
        found = re.match(r"\d{3}", str(error))
        status = int(found[0]) if found else 0
        return _STATUS[407] if status == 407 else "the proxy refuses to connect to the server"
    if isinstance(error, httpx.TimeoutException):
        return "the server does not answer in time"
    causes = _causes(error)
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
        return (
            "the server's certificate is not signed as the kit says, or not for this address: "
            "something reads the connection on its way, or the kit is old"
        )
    if any(isinstance(cause, ssl.SSLError) for cause in causes):
        return "no encrypted connection came about: the server refuses this site's certificate"
    if any(isinstance(cause, gaierror) for cause in causes):
        return "the server's name is not known here"
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return "nothing listens at the server's address, or at the proxy's"
    return "the connection to the server broke"


def _causes(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found
