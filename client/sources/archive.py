"""Talking DICOMweb (QIDO-RS, WADO-RS). Runs in the decoding child, under its memory limit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from json import dumps
from pathlib import Path
from typing import Any, TypeVar

import requests
from dicomweb_client.api import DICOMwebClient
from dicomweb_client.session_utils import add_certs_to_session
from pydicom.dataset import Dataset

from client.sources.dicom_headers import told
from client.sources.source import PixelTrouble

_T = TypeVar("_T")
_SECONDS = 30.0
_STATUS = {401: "refused", 403: "refused", 404: "missing", 410: "missing"}
_OUR_CERTIFICATE = ("CERTIFICATE", "UNKNOWN_CA", "UNKNOWN CA", "ACCESS_DENIED")


def studies(server: Mapping[str, Any], offset: int, limit: int) -> list[dict[str, str]]:
    """A page of studies: uid, and how many instances each has ("" where the archive is silent)."""
    client = _client(dumps(server, sort_keys=True))
    fields = ["StudyInstanceUID", "NumberOfStudyRelatedInstances"]
    page = _asked(lambda: client.search_for_studies(limit=limit, offset=offset, fields=fields))
    found = [Dataset.from_json(item) for item in page]
    return [
        {
            "uid": str(study.get("StudyInstanceUID", "")),
            "count": str(study.get("NumberOfStudyRelatedInstances") or ""),
        }
        for study in found
    ]


def objects(server: Mapping[str, Any], study: str) -> list[dict[str, Any]]:
    """The headers of a study's instances; see `dicom_headers.told`."""
    client = _client(dumps(server, sort_keys=True))
    page: Sequence[Any] = _asked(lambda: client.retrieve_study_metadata(study))
    return [_header(item) for item in page]


def fetch(server: Mapping[str, Any], locator: Mapping[str, Any], folder: str) -> None:
    """Write a case's instances to 0.dcm, 1.dcm, ... as the archive keeps them, one at a time.

    Raises:
        PixelTrouble: the archive is away, or has lost one of them.
    """
    client = _client(dumps(server, sort_keys=True))
    for i, (_, uid, _count) in enumerate(locator["files"]):
        data = _asked(_retrieval(client, locator["study"], locator["series"], uid))
        data.preamble = b"\0" * 128
        data.save_as(Path(folder) / f"{i}.dcm", enforce_file_format=True)


def _retrieval(client: DICOMwebClient, study: str, series: str, uid: str) -> Callable[[], Any]:
    return lambda: client.retrieve_instance(study, series, uid)


def _header(item: dict[str, Any]) -> dict[str, Any]:
    try:
        # pixels and other bulk data are references here, and are never followed
        return told(Dataset.from_json(item, bulk_data_uri_handler=lambda *_: None))
    except Exception:  # a parser may raise anything over a damaged header
        return {"trouble": "a header that cannot be read"}


@lru_cache(maxsize=1)
def _client(server: str) -> DICOMwebClient:
    from json import loads

    told_by = loads(server)
    session = requests.Session()
    session.trust_env = False  # no proxy and no password file of the machine's
    session.max_redirects = 0
    if told_by.get("user"):
        # as bytes in UTF-8: text would be sent in Latin-1, and fail beyond it
        session.auth = (told_by["user"].encode(), told_by.get("password", "").encode())
    if told_by.get("token"):
        session.headers["Authorization"] = f"Bearer {told_by['token']}"
    add_certs_to_session(session, told_by.get("authority"), told_by.get("certificate"))
    return DICOMwebClient(told_by["url"], session=session, timeout=_SECONDS)


def _asked(question: Callable[[], _T]) -> _T:
    try:
        return question()
    except requests.HTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        raise PixelTrouble(_STATUS.get(status, "away")) from None
    except requests.RequestException as error:
        raise PixelTrouble(_broken_off(str(error).upper())) from None


def _broken_off(words: str) -> str:
    """What a connection broke off over, by OpenSSL's words for it."""
    if "CERTIFICATE_VERIFY_FAILED" in words:
        return "untrusted"
    turned_away = "ALERT" in words and any(word in words for word in _OUR_CERTIFICATE)
    return "refused" if turned_away else "away"
