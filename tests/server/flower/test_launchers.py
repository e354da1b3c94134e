"""What other users of the server's machine see of the programs that SuperExec starts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from server.flower import serverapp


def test_the_token_of_a_run_is_no_argument_that_other_users_see(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run").mkdir()
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\nfor word; do echo "$word"; done; echo "$WARDROUND_TASK_TOKEN"\n')
    python.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(python))
    app = serverapp.write_launchers(tmp_path) / "flwr-serverapp"
    words = ["--a", "b c", "--token", "5ec7e7", "--insecure", "*"]
    said = subprocess.run([app, *words], capture_output=True, text=True, check=True).stdout
    ours = ["-P", "-m", "server.flower.serverapp", str(tmp_path)]
    assert said.splitlines() == [*ours, "--a", "b c", "--insecure", "*", "5ec7e7"]
