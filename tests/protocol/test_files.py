"""Files that are replaced whole, also in a folder where others may write."""

from __future__ import annotations

import os
from pathlib import Path

from protocol.files import replace_file


def test_a_link_in_the_way_is_not_followed(tmp_path: Path) -> None:
    """Somebody who may write in the folder, such as /tmp, guesses the name of the fresh file."""
    precious, out = tmp_path / "precious", tmp_path / "out"
    precious.write_text("mine")
    for link in (tmp_path / f".out.{os.getpid()}", out):
        link.symlink_to(precious)
    replace_file(out, b"new", sync=True)
    assert precious.read_text() == "mine"
    assert out.read_bytes() == b"new"
    assert not out.is_symlink()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "precious"]


def test_what_a_killed_writer_left_is_in_nobody_s_way(tmp_path: Path) -> None:
    (tmp_path / f".out.{os.getpid()}").write_text("half")
    replace_file(tmp_path / "out", b"whole", sync=False)
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
