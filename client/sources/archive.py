"""Talking DICOMweb (QIDO-RS, WADO-RS). Runs in the decoding child, under its memory limit."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from json import dumps
from pathlib import Path
from typing import Any, TypeVar

import requests
from dicomweb_client.api import DICOMwebClient
from dicomweb_client.session_utils import add_certs_to_session
from pydicom.dataset import Dataset

from client.sources.archive_tls import by_words, why_it_hangs_up
from client.sources.dicom_headers import told
from client.sources.source import PixelTrouble

_T = TypeVar("_T")
_SECONDS = 30.0
_WAITS = (0.3, 1.5)
_STATUS = {401: "refused", 403: "refused", 404: "missing", 410: "missing"}


def studies(server: Mapping[str, Any], offset: int, limit: int) -> list[dict[str, str]]:
    """A page of studies: uid, and how many instances each has ("" where the archive is silent)."""
    client = _client(dumps(server, sort_keys=True))
    fields = ["StudyInstanceUID", "NumberOfStudyRelatedInstances"]
    page = _asked(
        server, lambda: client.search_for_studies(limit=limit, offset=offset, fields=fields)
    )
    found = [Dataset.from_json(item) for item in page]
    return [
        {
            "uid": str(study.get("StudyInstanceUID", "")),
            "count": str(study.get("NumberOfStudyRelatedInstances") or ""),
        }
        for study in found
    ]


def objects(server: Mapping[str, Any], study: str) -> list[dict[str, Any]]:
    """The headers of a study's instances; see `dicom_headers.told`.

    Raises:
        PixelTrouble: the archive is away; "missing" where it hands out others, and this one not.
    """
    client = _client(dumps(server, sort_keys=True))
    page: Sequence[Any] = _asked_of_one(server, lambda: client.retrieve_study_metadata(study))
    return [_header(item) for item in page]


def fetch(server: Mapping[str, Any], locator: Mapping[str, Any], folder: str) -> None:
    """Write a case's instances to 0.dcm, 1.dcm, ... as the archive keeps them, one at a time.

    Raises:
        PixelTrouble: the archive is away, or has lost one of them.
    """
    client = _client(dumps(server, sort_keys=True))
    for i, (_, uid, _count) in enumerate(locator["files"]):
        data = _asked_of_one(server, _retrieval(client, locator["study"], locator["series"], uid))
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
    client = DICOMwebClient(told_by["url"], session=session, timeout=_SECONDS)
    client.set_http_retry_params(retry=False)  # it would ask five times in vain, 30 s long
    return client


class _Answered(PixelTrouble):
    """The archive is there, and its answer was no."""


def _asked_of_one(server: Mapping[str, Any], question: Callable[[], _T]) -> _T:
    """The answer about one study or instance; a no that is for this one alone is "missing"."""
    try:
        return _asked(server, question)
    except _Answered:
        studies(server, 0, 1)  # raises where nothing else is answered, either
        raise PixelTrouble("missing") from None


def _asked(server: Mapping[str, Any], question: Callable[[], _T]) -> _T:
    """The answer; where the way broke off or the archive is busy it is asked again, twice."""
    for wait in (*_WAITS, 0.0):
        try:
            return question()
        except requests.HTTPError as error:
            trouble: PixelTrouble = _Answered(_by_status(error.response))
        except requests.RequestException as error:
            trouble = PixelTrouble(_broken_off(server, error))
        if str(trouble) != "away":
            break
        time.sleep(wait)
    raise trouble from None


def _by_status(response: requests.Response | None) -> str:
    status = response.status_code if response is not None else 0
    if response is not None and status == 400 and b"SSL certificate" in response.content[:1000]:
        return "refused"  # nginx says so of our certificate, or that there is none
    return _STATUS.get(status, "away")


def _broken_off(server: Mapping[str, Any], error: requests.RequestException) -> str:
    """What a connection broke off over."""
    trouble = by_words(str(error))
    if trouble == "away" and isinstance(error, requests.ConnectionError):
        return why_it_hangs_up(server)
    return trouble
