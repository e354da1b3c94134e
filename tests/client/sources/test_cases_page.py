"""What docs/cases.md tells to paste is taken as it stands."""

from __future__ import annotations

import json
import re
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from client.home import read_config
from client.paths import HomePaths
from client.sources.choosing import source_of
from client.sources.configured import wanted_of
from client.sources.decoder import Decoder
from client.sources.logins import _FIELDS
from client.sources.reach import Reach
from client.sources.source import Find

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "cases.md").read_text(encoding="utf-8")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.slow
def test_sources_as_the_page_writes_them(home: Path, tmp_path: Path) -> None:
    mount = tmp_path / "research"
    toml = blocks("toml")[0].replace("/srv/research", str(mount))
    with (home / "site.toml").open("a") as file:
        file.write("\n" + toml)
    for name in ("ct", "brains", "xray", "spleen"):
        (mount / name).mkdir(parents=True)
    (mount / "ct" / "a.dcm").write_bytes(b"x")
    volume = nibabel.Nifti1Image(np.ones((3, 3, 3), np.float32), np.eye(4))
    nibabel.save(volume, mount / "brains" / "sub-01_T1w.nii.gz")
    (mount / "xray" / "list.csv").write_text(blocks("csv")[0])
    (mount / "spleen" / "dataset.json").write_text(blocks("json")[0])
    for i in (1, 2, 3):
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(mount / "xray" / f"{i:04d}.png")
        nibabel.save(volume, mount / "spleen" / f"{i:04d}.nii.gz")
    np.savez_compressed(mount / "pneumoniamnist.npz", train_images=np.zeros((2, 4, 4), np.uint8))
    taken = []
    with Decoder() as decoder:
        for one in read_config(home).sources[1:]:
            wanted = wanted_of(one, Reach(HomePaths(home)), lambda _: None)
            found = [f for f in source_of(wanted, decoder).finds() if isinstance(f, Find)]
            taken.append((len(found), sum(f.split == "locked" for f in found)))
    assert taken == [(0, 0), (1, 0), (2, 1), (3, 1), (2, 0)]


def test_logins_as_the_page_writes_them() -> None:
    logins = json.loads(blocks("json")[1])
    assert set(logins) == {"https://<archive>/dicom-web",
                           "https://<another>/dicom-web"}  # fmt: skip
    assert {field for login in logins.values() for field in login} < set(_FIELDS)
    assert all(f"`{field}`" in PAGE for field in _FIELDS)


@pytest.mark.parametrize("field", ["ExecStart=", "OnCalendar="])
def test_a_unit_is_there(field: str) -> None:
    assert any(field in block for block in blocks("ini"))
