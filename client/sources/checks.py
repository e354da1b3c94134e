"""Looks at the sources that `site.toml` names before an import: reached, let in, trusted, readable.

A source goes by its number in `site.toml`: no path, no file and no patient is named.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from client.home import HomeConfig, SourceConfig
from client.paths import HomePaths
from client.sources import archive_tls
from client.sources.choosing import is_address, kind_of, source_of
from client.sources.configured import of_site, unnamed, wanted_of
from client.sources.decoder import Decoder
from client.sources.dicom_folder import files_under
from client.sources.logins import Logins
from client.sources.reach import Reach
from client.sources.source import Looked, PixelTrouble, SourceError
from daemons.preflight import Found, Probe, fail, ok, warn

_SECONDS = 5.0
_FIRST = 1000
_LOGIN = "correct keys/dicomweb.json; see docs/cases.md, An archive's login"
_WHERE = "correct [[sources]] in site.toml"


def source_probes(paths: HomePaths, config: HomeConfig) -> list[Probe]:
    """What is asked of each source, in the order of `site.toml`."""
    probes: list[Probe] = []
    for number, one in enumerate(of_site(config, paths.home), start=1):
        make = _of_archive if is_address(one.where) else _of_files
        probes += make(f"source-{number}", one, paths)
    return probes


def _of_archive(name: str, one: SourceConfig, paths: HomePaths) -> list[Probe]:
    login, reached, trusted = (f"{name}-{what}" for what in ("login", "reached", "certificate"))
    return [
        Probe(login, lambda: check_login(one.where, paths)),
        Probe(reached, lambda: check_reached(urlsplit(one.where))),
        Probe(trusted, lambda: check_trusted(one.where, paths), needs=(login, reached)),
        Probe(f"{name}-answers", lambda: check_answers(one.where, paths), needs=(login, trusted)),
    ]


def _of_files(name: str, one: SourceConfig, paths: HomePaths) -> list[Probe]:
    readable = f"{name}-readable"
    index = partial(check_index, one, Reach(paths))
    return [
        Probe(readable, lambda: check_readable(Path(one.where))),
        Probe(f"{name}-index", index, needs=(readable,)),
    ]


def check_login(url: str, paths: HomePaths) -> Found:
    """Whether the login can be used as it is written."""
    try:
        server = Logins(paths.keys).server(url)
    except SourceError as error:
        return fail(str(error), _LOGIN)
    ways = {"user": "a user and a password", "token": "a bearer token"}
    had = [words for name, words in ways.items() if name in server]
    had += ["a certificate of this site"] if "certificate" in server else []
    return ok(f"keys/dicomweb.json has {' and '.join(had) or 'no login'} for this archive")


def check_reached(place: SplitResult) -> Found:
    """Whether something listens at the archive's address."""
    mend = "see that the archive runs, and that this machine may open connections to it"
    try:
        port = place.port or (443 if place.scheme == "https" else 80)
        socket.create_connection((place.hostname or "", port), _SECONDS).close()
    except ValueError:
        return fail("the archive's address has a port that is none", _WHERE)
    except socket.gaierror:
        return fail("the archive's name is not known to this machine", _WHERE)
    except TimeoutError:
        return fail(f"the archive does not answer within {_SECONDS:.0f} s", mend)
    except OSError:
        return fail("the archive's port refuses connections, or no way leads there", mend)
    return ok("the archive's port answers")


def check_trusted(url: str, paths: HomePaths) -> Found:
    """Whether the archive's certificate is the hospital's."""
    if url.startswith("http://"):
        return warn("plain http: images travel in the clear", "have the archive speak https")
    server = Logins(paths.keys).server(url)
    authority = "authority" in server
    signed = "the authority named in keys/dicomweb.json" if authority else "a public authority"
    days, why = archive_tls.shown(server, _SECONDS)
    if why:
        return fail(f"the archive's certificate is not trusted: {why}", archive_tls.MENDS[why])
    if days < archive_tls.SOON:
        mend = "have the archive's certificate renewed"
        return warn(f"the archive's certificate ends in {days} days", mend)
    return ok(f"the archive's certificate is signed by {signed}, {days} days left")


def check_answers(url: str, paths: HomePaths) -> Found:
    """Whether the archive takes the login, and speaks DICOMweb."""
    server = Logins(paths.keys).server(url)
    request = {"op": "studies", "server": server, "offset": 0, "limit": 1}
    try:
        with Decoder() as decoder:
            studies = decoder.ask(request)[0]["studies"]
    except PixelTrouble as trouble:
        if str(trouble) == "refused":
            return fail("the archive refuses this site's login, or asks for one", _LOGIN)
        mend = f"see that the address is that of its DICOMweb root; else {_WHERE}"
        return fail("what answers does not speak DICOMweb", mend)
    if not studies:
        mend = "ask the archive's admin what this login may see"
        return warn("the archive lets this site in and shows it no study", mend)
    return ok("the archive lets this site in and answers as DICOMweb")


def check_readable(path: Path) -> Found:
    """Whether a folder or file is there for the user that runs this."""
    if not path.exists():
        return fail("the folder or file is not there", f"mount it, or {_WHERE}")
    if not os.access(path, os.R_OK | (os.X_OK if path.is_dir() else 0)):
        mend = "let the user that runs this command read it"
        return fail("the folder or file is there and cannot be read", mend)
    return ok(f"the {'folder' if path.is_dir() else 'file'} is there and can be read")


def check_index(one: SourceConfig, reach: Reach) -> Found:
    """Whether what a source is listed by is there and sound: a table, a datalist, arrays, files."""
    path = Path(one.where)
    mend = f"see docs/cases.md for what is accepted; else {_WHERE}"
    try:
        with Decoder() as decoder:
            wanted = wanted_of(one, reach, lambda _: None)
            source = source_of(wanted, decoder)
            if (kind := one.kind or kind_of(path)) == "dicom":
                return _any_files(path, lambda _: True, "files", mend)
            if kind == "nifti":
                return _any_files(path, lambda n: n.endswith((".nii", ".nii.gz")), "volumes", mend)
            first = [f for f in islice(source.finds(), _FIRST) if not isinstance(f, Looked)]
    except ValueError as error:  # of the source, of its table, of an option
        return fail(unnamed(error, one.where), mend)
    return ok(f"the index lists {len(first)}{' cases or more' * (len(first) == _FIRST)}")


def _any_files(path: Path, one: Callable[[str], bool], what: str, mend: str) -> Found:
    if not any(map(one, files_under(path))):
        return fail(f"the folder holds no {what}", mend)
    return ok(f"the folder holds {what}")
