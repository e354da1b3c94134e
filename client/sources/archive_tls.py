"""An archive's TLS looked at alone: which certificate it shows, and why it hangs up."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from requests.utils import DEFAULT_CA_BUNDLE_PATH

SOON = 30  # days
_LISTEN = 2.0
_OUR_CERTIFICATE = ("CERTIFICATE", "UNKNOWN_CA", "UNKNOWN CA", "ACCESS_DENIED")
_NO_TLS = "what answers does not speak TLS"
_STRANGE = "it is signed by an authority that is not known here"
_WHY: Mapping[int, str] = {  # by OpenSSL's X509_V_ERR_...
    9: "it is not yet valid, by this machine's clock",
    10: "it has expired, by this machine's clock",
    62: "it is for another name than the address says",
    64: "it is for another name than the address says",
}
MENDS: Mapping[str, str] = {
    _NO_TLS: "see that the port is the archive's, and that it speaks https there",
    _STRANGE: "name the hospital's own authority as authority in keys/dicomweb.json",
    _WHY[9]: "switch on time synchronisation on this machine",
    _WHY[10]: "have the archive's certificate renewed; if it is not expired, correct the clock",
    _WHY[62]: "write the name that its certificate is for into [[sources]] in site.toml",
}


def shown(server: Mapping[str, Any], seconds: float) -> tuple[int, str]:
    """For how many days the archive's certificate is valid, and why it is not trusted; "" if it is.

    What the archive thinks of this site's certificate is not asked.
    """
    try:
        with _spoken(server, seconds) as spoken:
            until = ssl.cert_time_to_seconds(str((spoken.getpeercert() or {})["notAfter"]))
    except ssl.SSLCertVerificationError as error:
        return 0, _WHY.get(error.verify_code, _STRANGE)
    except OSError:
        return 0, _NO_TLS
    return int((until - time.time()) // 86400), ""


def why_it_hangs_up(server: Mapping[str, Any]) -> str:
    """One of source.OF_THE_PLACE.

    An archive that refuses our certificate says so after the handshake, and who has begun to speak
    by then may never hear it; so this one only listens.
    """
    if not server["url"].startswith("https://"):
        return "away"
    try:
        with _spoken(server, _LISTEN) as spoken:
            spoken.recv(1)
    except (OSError, ValueError) as error:
        return by_words(str(error))
    return "away"


def by_words(words: str) -> str:
    """What a connection broke off over, by OpenSSL's words for it: one of source.OF_THE_PLACE."""
    words = words.upper()
    if "CERTIFICATE_VERIFY_FAILED" in words:
        return "untrusted"
    turned_away = "ALERT" in words and any(word in words for word in _OUR_CERTIFICATE)
    return "refused" if turned_away else "away"


def _spoken(server: Mapping[str, Any], seconds: float) -> ssl.SSLSocket:
    place = urlsplit(server["url"])
    trusted = server.get("authority") or DEFAULT_CA_BUNDLE_PATH
    context = ssl.create_default_context(cafile=trusted)
    if "certificate" in server:
        context.load_cert_chain(server["certificate"])
    plain = socket.create_connection((place.hostname or "", place.port or 443), seconds)
    try:
        return context.wrap_socket(plain, server_hostname=place.hostname)
    except BaseException:
        plain.close()
        raise
