"""`wardround-site demo`: one site alone, with readers who know what is true."""

from __future__ import annotations

import stat
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from client.audit.verify import verify
from client.home import HomeConfig, make_home, open_store
from client.rehearsal.cases import truths
from client.rehearsal.place import Place, prepare
from client.rehearsal.rehearse import rehearse
from client.rehearsal.state import Progress
from client.rehearsal.wanted import Wanted, study_of
from daemons.terminal import Refused
from protocol.study import StudyError, load

STUDY = """
schema = 1
name = "small"
[task]
image = [1, 16, 16]
[[task.classes]]
name = "dark"
definition = "Dark."
[[task.classes]]
name = "bright"
definition = "Bright."
[network]
name = "tiny-cnn"
[training]
rounds_per_cycle = 2
max_steps = 10
[query]
strategy = "entropy"
[budget]
total = 24
per_cycle = 12
[audit]
grant = 0.3
[reading]
readers_per_case = 2
"""


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Sixty pool and twenty test images, bright or dark."""
    rng = np.random.default_rng(3)
    arrays = {}
    for split, count in (("train", 60), ("test", 20)):
        labels = rng.integers(0, 2, (count, 1))
        noise = rng.integers(0, 60, (count, 16, 16))
        arrays[f"{split}_images"] = (noise + 150 * labels[:, :, None]).astype(np.uint8)
        arrays[f"{split}_labels"] = labels
    np.savez(tmp_path / "images.npz", **arrays)
    return tmp_path / "images.npz"


@pytest.fixture
def wanted(tmp_path: Path, images: Path) -> Wanted:
    (tmp_path / "small.toml").write_text(STUDY, encoding="utf-8")
    return Wanted((images,), tmp_path / "small.toml", simulated=True)


def test_the_included_study_fits_any_images_and_any_budget() -> None:
    own = study_of(Wanted())
    assert own.task.names == ("no opacity", "opacity")
    assert (own.reading.readers_per_case, own.reading.show_ai) == (2, "after")
    other = study_of(Wanted((Path("scans"),), cycles=5, per_cycle=7))
    assert other.task.names == ("no finding", "finding")
    assert (other.budget.total, other.budget.per_cycle) == (35, 7)
    assert [other.cycle_budget(c, 7 * c) for c in range(6)] == [7, 7, 7, 7, 7, 0]


@pytest.mark.slow
def test_a_rehearsal_reads_and_trains_to_its_end_and_says_so(
    tmp_path: Path, wanted: Wanted
) -> None:
    place, said = Place(tmp_path / "home"), list[str]()
    ended = rehearse(place, wanted, said.append)
    assert (ended.cycle, ended.step) == (2, "over")
    text = "\n".join(said)
    assert "cycle 2: 12 readings" in text
    assert "AUROC: not estimable under 20 cases" in text
    assert "locked test cases: 20" in text
    with closing(open_store(place.home)) as store:
        study = study_of(wanted)
        count, seconds = store.readings.spent(study.identity)
        assert count == 24
        assert seconds > 24
        readers = {r for (r,) in store.connection.execute("SELECT reader FROM readings")}
        assert {"ann", "ben"} <= readers <= {"ann", "ben", "cleo"}
        ids, _ = store.labels.settled(study.identity)
        assert 0 < len(ids) <= 12
        assert verify(store, "rehearsal", None).whole
    assert stat.S_IMODE(place.passwords.stat().st_mode) == 0o600
    known = truths(place.home, wanted.sources, study)
    labels = np.load(wanted.sources[0])["train_labels"][:, 0]
    assert sum(value[1] for value in known.values()) == labels.sum()
    with pytest.raises(StudyError, match="npz files with labels"):
        truths(place.home, [tmp_path], study)


@pytest.mark.slow
def test_killed_before_any_step_was_written_down_it_asks_again_and_ends_the_same(
    tmp_path: Path, wanted: Wanted
) -> None:
    whole, cut = Place(tmp_path / "whole"), Place(tmp_path / "cut")
    rehearse(whole, wanted, lambda _: None)
    _same_secret(whole, cut)

    class Killed(Exception):
        pass

    def once(step: str, cycle: int) -> None:
        real = Progress.write

        def write(self: Progress, state: object) -> None:
            if (state.step, state.cycle) == (step, cycle):  # type: ignore[attr-defined]  # the rehearsal's own state
                raise Killed
            real(self, state)  # type: ignore[arg-type]  # the rehearsal's own state

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Progress, "write", write)
            with pytest.raises(Killed):
                rehearse(cut, wanted, lambda _: None)

    for step, cycle in (("read", 0), ("train", 0), ("evaluate", 0), ("select", 1), ("close", 1)):
        once(step, cycle)
    rehearse(cut, wanted, lambda _: None)
    ends = [Progress(p).read() for p in (whole, cut)]
    assert ends[0] is not None
    assert ends[1] is not None
    first, second = (
        Progress(p).arrays(e.model) for p, e in zip((whole, cut), ends, strict=True) if e
    )
    assert all(np.array_equal(first[name], second[name]) for name in first)


def _same_secret(of: Place, to: Place) -> None:
    """A second home under the first one's secret, so that both have the same audit set."""
    from daemons.secrets import secret_folder

    secret = (of.home / "keys" / "site.secret").read_bytes()
    to.home.mkdir(mode=0o700)
    secret_folder(to.home / "keys", {"site.secret": secret})


@pytest.mark.slow
def test_a_real_sites_home_and_another_rehearsal_are_not_mixed(
    tmp_path: Path, wanted: Wanted
) -> None:
    real = tmp_path / "real"
    make_home(real, HomeConfig(name="north"))
    before = (real / "site.toml").read_bytes()
    with pytest.raises(Refused, match="home of a site"):
        rehearse(Place(real), wanted, lambda _: None)
    assert (real / "site.toml").read_bytes() == before
    place = Place(tmp_path / "home")
    prepare(place, wanted, study_of(wanted), lambda _: None)
    fewer = replace(wanted, cycles=1)
    with pytest.raises(Refused, match="another study"):
        prepare(place, fewer, study_of(fewer), lambda _: None)
    assert load(place.study).identity == study_of(wanted).identity
