"""Who an archive lets in, and whom a site trusts: told apart, in one sentence, without secrets."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

from client.paths import HomePaths
from client.sources.logins import Logins
from client.sources.source import SourceError

Made = Callable[..., Dataset]
Start = Callable[..., Any]
LogIn = Callable[..., None]
Import = Callable[[Any], Any]
TOKEN = "eyJhbGciOi.WORD-OF-THE-HOUSE.c2ln"  # noqa: S105 - of an archive that lives for a second
FROM_FILE = {"token_file": "token"}
WORDS = {"user": "site", "password": "word \u2713 of the site"}


@pytest.fixture
def two(made: Made) -> list[Dataset]:
    """Two studies of two patients."""
    other = made(1, StudyInstanceUID="1.3", SeriesInstanceUID="1.3.1", PatientID="other")
    return [made(0), other]


@pytest.mark.slow
def test_the_hospitals_own_authority_and_a_login(
    serve: Start, log_in: LogIn, import_from: Import, two: list[Dataset]
) -> None:
    archive = serve(*two, user=":".join(WORDS.values()))
    log_in(archive, **WORDS)
    assert import_from(archive).taken == {"CT": 2}


def test_an_unknown_authority_is_refused_before_anything_is_sent(
    serve: Start, log_in: LogIn, import_from: Import, two: list[Dataset], authorities: Any
) -> None:
    archive = serve(*two, signer=authorities[1], token=TOKEN)
    log_in(archive, {"token": TOKEN}, **FROM_FILE)
    with pytest.raises(SourceError, match="certificate is not trusted here"):
        import_from(archive)
    assert archive.asked == []


@pytest.mark.slow
def test_a_bearer_token_from_a_file_is_read_anew(
    serve: Start, log_in: LogIn, import_from: Import, two: list[Dataset]
) -> None:
    archive = serve(*two, token=TOKEN)
    log_in(archive, {"token": TOKEN + "\n"}, **FROM_FILE)
    assert import_from(archive).taken == {"CT": 2}
    archive.token = TOKEN[::-1]
    with pytest.raises(SourceError, match="refuses the login"):
        import_from(archive)
    log_in(archive, {"token": TOKEN[::-1]}, **FROM_FILE)
    assert import_from(archive).skipped.total() == 2  # as they were


@pytest.mark.slow
def test_a_bearer_token_from_the_environment(
    serve: Start,
    log_in: LogIn,
    import_from: Import,
    two: list[Dataset],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    archive = serve(*two, token=TOKEN)
    log_in(archive, **{"token_variable": "WARD_TOKEN"})
    with pytest.raises(SourceError, match="is not set here"):
        import_from(archive)
    monkeypatch.setenv("WARD_TOKEN", TOKEN)
    assert import_from(archive).taken == {"CT": 2}


@pytest.mark.slow
def test_a_certificate_of_this_site(
    serve: Start,
    log_in: LogIn,
    import_from: Import,
    two: list[Dataset],
    authorities: Any,
    certified: Callable[..., bytes],
) -> None:
    hospital, strangers = authorities
    archive = serve(*two, admits=hospital)
    for files, login in (
        ({}, {}),
        ({"site.pem": certified(strangers)}, {"certificate": "site.pem"}),
    ):
        log_in(archive, files, **login)
        with pytest.raises(SourceError, match="refuses the login"):
            import_from(archive)
    assert archive.asked == []
    log_in(archive, {"site.pem": certified(hospital)}, certificate="site.pem")
    assert import_from(archive).taken == {"CT": 2}


@pytest.mark.slow
def test_the_command_says_it_in_one_sentence_without_secrets(
    serve: Start, log_in: LogIn, two: list[Dataset], home: Path
) -> None:
    archive = serve(*two, token=TOKEN[::-1])
    log_in(archive, {"token": TOKEN}, **FROM_FILE)
    words = [sys.executable, "-P", "-c", "from client.cli import main; main()", "import"]
    done = subprocess.run(
        [*words, archive.url, "--home", str(home)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert done.returncode == 2
    assert len(said.strip().splitlines()) == 1
    assert "refuses the login that keys/dicomweb.json has for it" in said
    assert TOKEN not in said
    assert archive.url.split("/")[2] not in said
    assert archive.asked == ["/studies"]  # asked once: a lockout is not provoked


@pytest.mark.slow
def test_nothing_of_a_login_is_kept_elsewhere(
    serve: Start, log_in: LogIn, import_from: Import, two: list[Dataset], home: Path
) -> None:
    archive = serve(*two, token=TOKEN)
    log_in(archive, {"token": TOKEN}, **FROM_FILE)
    import_from(archive)
    keys = HomePaths(home).keys
    others = [p for p in home.rglob("*") if p.is_file() and keys not in p.parents]
    assert others
    assert not [p for p in others if TOKEN.encode() in p.read_bytes()]


FAR = "://".join(("https", "archive/dicom-web"))


@pytest.mark.parametrize(
    ("login", "files", "words"),
    [
        ({"user": "a", "token_file": "t"}, {"t": "x"}, "user and token_file"),
        ({"token_file": "t"}, {}, "is not there"),
        ({"token_file": "t"}, {"t": "two words"}, "holds no token"),
        ({"token_file": "t"}, {"t": "one\nX-Other: header"}, "holds no token"),
        ({"token_file": "t"}, {"t": b"\xff\xfe"}, "holds no token"),
        ({"token": "t"}, {}, "accepted are authority, certificate"),
        ({"password": 5}, {}, "each a text"),
        ({"authority": "a"}, {"a": "no PEM"}, "authority holds no certificate"),
        ({"certificate": "c"}, {"c": "no PEM"}, "certificate is no certificate with its key"),
        ({"certificate": "c"}, {}, "certificate is not there"),
    ],
)
def test_a_login_that_cannot_be_used_says_why(
    home: Path, log_in: LogIn, login: Any, files: Any, words: str
) -> None:
    class At:
        url = FAR

    log_in(At, files, **login)
    with pytest.raises(SourceError, match=words) as refused:
        Logins(HomePaths(home).keys).server(FAR)
    assert str(home) not in str(refused.value)


@pytest.mark.slow
def test_secrets_are_closed_and_never_in_the_clear(home: Path, log_in: LogIn) -> None:
    class At:
        url = FAR.replace("https", "http")

    keys = HomePaths(home).keys
    log_in(At, {"t": TOKEN}, **{"token_file": "t"})
    with pytest.raises(SourceError, match="plain http"):
        Logins(keys).server(At.url)
    At.url = FAR
    log_in(At, {"t": TOKEN}, **{"token_file": "t"})
    assert Logins(keys).server(FAR)["token"] == TOKEN
    (keys / "t").chmod(0o640)
    with pytest.raises(SourceError, match="token_file can be read by others"):
        Logins(keys).server(FAR)
    with pytest.raises(SourceError, match="within the address") as refused:
        Logins(keys).server(FAR.replace("//", "//ann:secret@"))
    assert "secret" not in str(refused.value)
