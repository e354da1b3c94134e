"""What preflight says of the sources in `site.toml`: each aspect in a sentence, none by name."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset

from client.home import HomeError, SourceConfig, make_home, read_config
from client.paths import HomePaths
from client.sources.checks import source_probes
from daemons.ports import free_port
from daemons.preflight import Check, run_probes

Made = Callable[..., Dataset]
Start = Callable[..., Any]
LogIn = Callable[..., None]
WORD = "word-of-the-site"
FROM_FILE = {"token_file": "token"}
Look = Callable[..., dict[str, Check]]
NEAR = "127.0.0.1"
SMITH = "SMITH-JANE"
UNKNOWN = "no-such-archive.invalid"


@pytest.fixture
def configure(home: Path) -> Callable[..., None]:
    """Writes these sources into site.toml."""

    def write(*wheres: str | SourceConfig) -> None:
        sources = [one if isinstance(one, SourceConfig) else SourceConfig(where=one)
                   for one in wheres]  # fmt: skip
        make_home(home, read_config(home).model_copy(update={"sources": tuple(sources)}))
        assert read_config(home).sources == tuple(sources)

    return write


@pytest.fixture
def look(home: Path, configure: Callable[..., None], planted: str) -> Iterator[Look]:
    """The checks of these sources by name, without `source-`."""
    said: list[str] = []

    def ask(*wheres: str | SourceConfig) -> dict[str, Check]:
        configure(*wheres)
        checks = run_probes(source_probes(HomePaths(home), read_config(home)))
        said.extend(f"{one.found} {one.mend}" for one in checks)
        assert all(one.mend for one in checks if one.verdict != "ok")
        return {one.name.removeprefix("source-"): one for one in checks}

    yield ask
    for sentence in said:
        for secret in (WORD, SMITH, planted, str(home), "127.0.0.1"):
            assert secret not in sentence


def verdicts(checks: dict[str, Check]) -> str:
    return " ".join(one.verdict for one in checks.values())


@pytest.mark.slow
def test_an_archive_that_lets_the_site_in(
    serve: Start, log_in: LogIn, look: Look, made: Made
) -> None:
    archive = serve(made(0), token=WORD)
    log_in(archive, {"token": WORD}, **FROM_FILE)
    checks = look(archive.url)
    assert list(checks) == ["1-login", "1-reached", "1-certificate", "1-answers"]
    assert verdicts(checks) == "ok ok ok ok"
    assert "a bearer token" in checks["1-login"].found
    assert re.search(r"named in keys/dicomweb.json, \d+ days", checks["1-certificate"].found)
    assert archive.asked == ["/studies"]
    archive.token, archive.held = WORD[::-1], []
    assert "refuses this site's login" in look(archive.url)["1-answers"].found


def test_what_is_wrong_with_an_archive_is_told_apart(
    serve: Start, log_in: LogIn, look: Look, authorities: Any, home: Path
) -> None:
    strange = serve(signer=authorities[1])
    log_in(strange, {"token": WORD}, **FROM_FILE)
    checks = look(strange.url)
    assert verdicts(checks) == "ok ok fail warn"
    assert "not known here" in checks["1-certificate"].found
    assert strange.asked == []

    named = strange.url.replace("127.0.0.1", "localhost")
    (HomePaths(home).keys / "ca.pem").write_bytes(authorities[1].pem)
    logins = json.dumps({named: {"authority": "ca.pem"}})
    (HomePaths(home).keys / "dicomweb.json").write_text(logins)
    assert "for another name" in look(named)["1-certificate"].found

    (HomePaths(home).keys / "dicomweb.json").chmod(0o644)
    away = f"https://{NEAR}:{free_port()}/dicom-web"
    checks = look(away)
    assert verdicts(checks) == "fail fail warn warn"
    assert "mode 0600" in checks["1-login"].found
    assert "refuses connections" in checks["1-reached"].found
    unknown = look("https://" + UNKNOWN + "/dicom-web")["1-reached"].found
    assert "name is not known" in unknown


@pytest.mark.slow
def test_an_archive_that_wants_our_certificate_or_shows_nothing(
    serve: Start,
    log_in: LogIn,
    look: Look,
    authorities: Any,
    certified: Callable[..., bytes],
) -> None:
    archive = serve(admits=authorities[0], token=WORD)
    log_in(archive, {"token": WORD}, **FROM_FILE)
    checks = look(archive.url)
    assert verdicts(checks) == "ok ok ok fail"  # its certificate is right; it is ours that lacks
    assert "refuses this site's login" in checks["1-answers"].found
    own = certified(authorities[0])
    log_in(archive, {"token": WORD, "own": own}, **FROM_FILE, certificate="own")
    checks = look(archive.url)
    assert verdicts(checks) == "ok ok ok warn"
    assert "shows it no study" in checks["1-answers"].found


@pytest.mark.slow
def test_folders_and_files(look: Look, made: Made, write: Callable[..., Path], home: Path) -> None:
    root = home / SMITH
    write(root / "dicom", made(0))
    (root / "empty").mkdir()
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(root / "a.png")
    (root / "list.csv").write_text("path\na.png\n")
    (root / f"{SMITH}.csv").write_text("picture\na.png\n")
    (root / "list.json").write_text('{"training": ["a.png", "a.png"]}')
    (root / f"{SMITH}.json").write_text("[]")
    (root / "a.npz").write_bytes(b"no arrays")
    names = ("dicom", "empty", "list.csv", f"{SMITH}.csv", "list.json", f"{SMITH}.json", "a.npz")
    checks = look(*(f"{SMITH}/{name}" for name in names), f"{SMITH}/gone")
    assert [checks[f"{n}-readable"].verdict for n in range(1, 9)] == ["ok"] * 7 + ["fail"]
    found = [checks[f"{n}-index"] for n in range(1, 9)]
    assert [one.verdict for one in found] == ["ok", "fail", "ok", "fail", "ok", "fail", "fail",
                                             "warn"]  # fmt: skip
    assert "column 1 is unknown" in found[3].found
    assert "no datalist" in found[5].found
    assert "not a whole npz" in found[6].found


def test_a_source_that_is_misspelt_is_named_by_its_field(home: Path) -> None:
    with (home / "site.toml").open("a") as file:
        file.write('\n[[sources]]\nwere = "a"\n')
    with pytest.raises(HomeError, match=r"sources\.0\.where: Field required"):
        read_config(home)


@pytest.mark.slow
def test_an_import_of_all_of_them_goes_on_past_one_that_fails(
    serve: Start, log_in: LogIn, configure: Callable[..., None], made: Made, home: Path,
    write: Callable[..., Path], planted: str,
) -> None:  # fmt: skip
    archive = serve(made(0), token=WORD)
    log_in(archive, {"token": WORD}, **FROM_FILE)
    other = made(1, StudyInstanceUID="1.9", SeriesInstanceUID="1.9.1", BurnedInAnnotation="YES")
    write(home / planted, other)
    folder = SourceConfig(where=planted, kind="dicom", allow=("burned-in",))
    configure(archive.url, SMITH, folder)
    words = [sys.executable, "-P", "-c", "from client.cli import main; main()", "import"]
    said = []
    for more in (["--format", "json"], [], ["--kind", "npz"]):
        said.append(
            subprocess.run(
                [*words, "--home", str(home), *more],
                capture_output=True, text=True, check=False, timeout=120,
            )
        )  # fmt: skip
    told = json.loads(said[0].stdout)["sources"]
    assert [one["source"] for one in told] == [1, 2, 3]
    assert "not there" in told[1]["failed"]
    assert [told[i]["taken"]["cases"] for i in (0, 2)] == [1, 1]
    assert "source 3: there already: 1 cases" in said[1].stdout
    assert [one.returncode for one in said] == [1, 1, 2]
    assert "go with a SOURCE" in said[2].stderr
    everything = "".join(one.stdout + one.stderr for one in said)
    assert planted not in everything
    assert SMITH not in everything
