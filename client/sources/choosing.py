"""Which kind of source a path or an address is."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from client.sources.decoder import Decoder
from client.sources.labels import Labels
from client.sources.reach import Reach
from client.sources.source import Source, SourceError

_NAME = re.compile(r"[\w.:-]+")
KINDS = ("dicom", "dicomweb", "nifti", "table", "npz", "datalist")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an import was asked to do.

    Attributes:
        where: a file or folder.
        kind: one of KINDS, or "" to find out.
        allowed: words of `dicom_rules.ALLOWANCES`.
        labels: how known answers of test cases are read.
        seen: is told how many files, or studies, were looked at.
        reach: knows the logins of archives.
        looked: what a part of the source looked like when it was last taken whole.
    """

    where: str
    kind: str
    allowed: frozenset[str]
    labels: Labels
    seen: Callable[[int], None]
    reach: Reach = field(default_factory=Reach)
    looked: Callable[[str], str] = field(default=lambda part: "")


def source_of(wanted: Wanted, decoder: Decoder) -> Source:
    """The source.

    Raises:
        SourceError: it is none, or not of the kind that was named.
    """
    if is_address(wanted.where):
        return _archive(wanted, decoder)
    path = Path(wanted.where).resolve()
    if not path.exists():
        raise SourceError(
            "the source is not there; accepted is a file or folder of this site, or an address "
            "that begins with https://"
        )
    if path.is_dir() and not any(path.iterdir()):
        raise SourceError("the folder is empty, as that of a share that is not mounted")
    kind = wanted.kind or kind_of(path)
    if kind not in KINDS:
        raise SourceError(f"--kind {kind}: accepted are {', '.join(KINDS)}")
    if kind == "dicomweb":
        raise SourceError("a source of kind dicomweb is an address that begins with https://")
    if path.is_dir() != (kind in ("dicom", "nifti")) and kind != "table":
        raise SourceError(f"a source of kind {kind} is a {_SHAPE[kind]}")
    return _MAKE[kind](path, wanted, decoder)


def is_address(where: str) -> bool:
    """Whether it is an archive's address, and no path."""
    return where.startswith(("https://", "http://"))


def _archive(wanted: Wanted, decoder: Decoder) -> Source:
    from client.sources.dicomweb import Archive

    url = wanted.where.rstrip("/")
    try:
        place = urlsplit(url)
        sound = bool(place.hostname and _NAME.fullmatch(place.hostname)) and place.port != 0
    except ValueError:  # a port or an IPv6 address that is none
        sound = False
    if not sound or place.query or place.fragment:
        raise SourceError("no address of an archive; accepted is https://<host>:<port>/<path>")
    return Archive(url, wanted.reach, decoder, wanted.allowed, wanted.seen, wanted.looked)


def kind_of(path: Path) -> str:
    """One of KINDS, by suffix; a folder's by what lies in it.

    Raises:
        SourceError: a file of no known suffix.
    """
    if path.is_file():
        for suffix, kind in ((".npz", "npz"), (".csv", "table"), (".json", "datalist")):
            if path.suffix.lower() == suffix:
                return kind
        raise SourceError("no known source; accepted is a folder, an .npz, a .csv or a .json")
    if len(list(path.glob("*.csv"))) == 1 and not any(path.rglob("*.dcm")):
        return "table"
    volumes = (f for pattern in ("*.nii", "*.nii.gz") for f in path.rglob(pattern))
    return "nifti" if any(volumes) else "dicom"


def _dicom(path: Path, wanted: Wanted, decoder: Decoder) -> Source:
    from client.sources.dicom_folder import DicomFolder

    return DicomFolder(path, decoder, wanted.allowed, wanted.seen)


def _nifti(path: Path, wanted: Wanted, decoder: Decoder) -> Source:
    from client.sources.nifti import NiftiFolder

    return NiftiFolder(path)


def _table(path: Path, wanted: Wanted, decoder: Decoder) -> Source:
    from client.sources.pictures import PictureTable

    found = sorted(path.glob("*.csv")) if path.is_dir() else [path]
    if len(found) != 1:
        raise SourceError(f"{len(found)} CSV files in this folder; accepted is one")
    return PictureTable(found[0], wanted.labels)


def _npz(path: Path, wanted: Wanted, decoder: Decoder) -> Source:
    from client.sources.arrays import ArrayFile

    return ArrayFile(path, decoder, wanted.labels)


def _datalist(path: Path, wanted: Wanted, decoder: Decoder) -> Source:
    from client.sources.datalist import Datalist

    return Datalist(path, wanted.labels)


_MAKE: Mapping[str, Callable[[Path, Wanted, Decoder], Source]] = {
    "dicom": _dicom,
    "nifti": _nifti,
    "table": _table,
    "npz": _npz,
    "datalist": _datalist,
}
_SHAPE = {"dicom": "folder", "nifti": "folder", "npz": ".npz file", "datalist": ".json file"}
