"""Units that systemd itself accepts."""

from __future__ import annotations

import pwd
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from daemons.systemd import Unit

ANALYZE = pytest.mark.skipif(
    not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed"
)
ME = pwd.getpwuid(0).pw_name


def unit(home: Path, **given: bool) -> Unit:
    return Unit("wardround-site", "wardround site north", home, ME, **given)


def settings(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line and line[0] != "#")


@ANALYZE
@pytest.mark.parametrize("given", [{"devices": True}, {"low_port": True}])
def test_systemd_accepts_it(tmp_path: Path, given: dict[str, bool]) -> None:
    made = unit(tmp_path, **given)
    (tmp_path / made.file).write_text(made.text())
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / made.file)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    ours = [line for line in done.stderr.splitlines() if made.file in line]
    assert done.returncode == 0, done.stderr
    assert not ours


def test_what_it_holds(tmp_path: Path) -> None:
    found = settings(unit(tmp_path, devices=True).text())
    assert found["ReadWritePaths"] == found["WorkingDirectory"] == str(tmp_path)
    command = Path(sys.executable).with_name("wardround-site")
    assert found["ExecStart"] == f"{command} start --home {tmp_path}"
    assert found["AmbientCapabilities"] == found["CapabilityBoundingSet"] == ""
    assert "PrivateDevices" not in found  # a GPU is a device
    low = settings(unit(tmp_path, low_port=True).text())
    assert low["AmbientCapabilities"] == "CAP_NET_BIND_SERVICE"
    assert low["PrivateDevices"] == "yes"


def test_homes_of_people_are_hidden_unless_the_daemon_lives_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daemons.systemd.sys.executable", "/opt/wardround/bin/python")
    monkeypatch.setattr("daemons.systemd.sys.base_prefix", "/usr")
    assert settings(unit(Path("/srv/wardround")).text())["ProtectHome"] == "yes"
    beneath = Path("/", "home", "ann", "site")
    assert settings(unit(beneath).text())["ProtectHome"] == "read-only"


@pytest.mark.parametrize("home", ["/srv/two words", "/srv/%h", "relative", "/srv/a\nUser=root"])
def test_paths_that_a_unit_would_read_in_its_own_way(home: str) -> None:
    with pytest.raises(ValueError, match="accepted are absolute paths"):
        unit(Path(home)).text()


def test_a_user_that_is_none() -> None:
    with pytest.raises(ValueError, match="system user's name"):
        Unit("wardround-site", "d", Path("/srv/x"), "ann\nUser=root").text()
