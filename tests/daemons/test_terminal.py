"""What a person reads where a command cannot go on."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest
import typer

from daemons.terminal import run_command


def test_a_damaged_database_is_told_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "site.db").write_bytes(b"torn" * 999)
    app = typer.Typer()

    @app.command()
    def look() -> None:
        with closing(sqlite3.connect(tmp_path / "site.db")) as connection:
            connection.execute("SELECT * FROM sqlite_master")

    monkeypatch.setattr(sys, "argv", ["look"])
    with pytest.raises(SystemExit) as ended:
        run_command(app, "look")
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith("look: a database cannot be used (file is not a database)")
    assert said.count("\n") == 1
