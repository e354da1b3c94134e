"""The comparison with asking at random: two more models in the course of a study, over sites."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
from jinja2 import Environment, FileSystemLoader

from client.dispatch import answer
from client.opening import open_home
from client.steps.shares import shares
from client.steps.train import train
from client.store.step_shelf import StepRefused
from protocol.codec import pack
from protocol.egress import Asking, KeptBack, described, release
from protocol.gain import SiteGain, taken_apart, together
from protocol.records import GlobalState, StepKey, UpdateNumbers
from protocol.steps import Code, StepRequest
from protocol.study import StudyError, document
from server import dashboard
from server import gain as server_gain
from server.dashboard.pages import study as study_page
from server.events import Event
from server.export import export_study
from server.federation import QuorumLost
from server.gain import gains
from server.home import HomeConfig, ServerPaths, make_home
from server.ledger import Ledger, Stage
from server.overview import as_dict, as_text, overview
from server.registry.registry import Registry
from server.registry.study_shelf import StudyRow, StudyShelf

World = Any
DASHBOARD = Path(dashboard.__file__).parent
GAIN = (
    "budget.total=72",
    "budget.per_cycle=24",
    "budget.exploration=0.5",
    "audit.patients=0.4",
    "audit.grant=0.25",
    "training.rounds_per_cycle=2",
)


def ledger_of(made: World) -> Ledger:
    return Ledger.look(made.folder / "server" / "ledger.db")


@pytest.fixture(scope="module")
def pools() -> tuple[int, ...]:
    return (40, 40, 40)


@pytest.mark.slow
def test_the_studys_own_model_is_the_same_with_a_comparison_and_without(
    world: Callable[..., World], pools: tuple[int, ...]
) -> None:
    plain = world(*GAIN, name="plain", pools=pools)
    compared = world(*GAIN, "stopping.gain=cycle", name="compared", pools=pools)
    for made in (plain, compared):
        made.run()
    assert plain.openings() == compared.openings()
    for cycle in range(3):
        one, two = (made.model(cycle, 2).arrays for made in (plain, compared))
        assert all(np.array_equal(one[name], two[name]) for name in one)
    with closing(ledger_of(compared).connection):
        found = list(gains(ledger_of(compared), compared.study))
    assert [g.cycle for g in found] == [1, 2]  # after the first one both would be the same
    assert 0 < found[0].apart < found[1].apart
    assert found[1].cases > 0
    assert found[1].labels < 72
    left = {p.name for p in (compared.folder / "server" / "models").iterdir()}
    assert not any("compared" in name for name in left)
    assert [(e.cycle, e.round) for e in compared.events if e.step == "compare"] == [
        (cycle, round_) for cycle in (1, 2) for round_ in (1, 2, 1, 2, 2)
    ]


@pytest.mark.slow
def test_each_model_has_equally_many_labels_and_both_those_of_the_first_cycle(
    world: Callable[..., World], pools: tuple[int, ...]
) -> None:
    made = world(*GAIN, "stopping.gain=end", pools=pools)
    made.run()
    ledger = ledger_of(made)
    weights = []
    for sequence in (1, 2):
        told = ledger.records(Stage(2, "train", 0, sequence), UpdateNumbers)
        assert told is not None
        weights.append([u.weight for u in told.values()])
    assert weights[0] == weights[1]
    said = ledger.records(Stage(2, "compare", 2), SiteGain)
    assert said is not None
    assert [g.labels for g in said.values()] == weights[0]
    assert [g.cycle for g in gains(ledger, made.study)] == [2]
    ledger.connection.close()
    for home in made.homes.values():
        site = open_home(home)
        own = shares(site, made.study, 2)
        came = site.store.labels.came(made.study.identity)
        both = set(own.random.tolist()) & set(own.queried.tolist())
        assert {came[i][0] for i in both} == {0}
        assert both == {i for i, (cycle, _) in came.items() if cycle == 0}
        for ids, purpose in ((own.random, "explore"), (own.queried, "query")):
            later = [i for i in ids.tolist() if came[i][0]]
            assert {came[i][1] for i in later} == {purpose}
            assert len(later) == own.apart
        site.store.close()


@pytest.mark.slow
@pytest.mark.parametrize("at", [1, 2])
def test_killed_in_a_comparison_it_goes_on_with_the_same_bits(
    world: Callable[..., World], pools: tuple[int, ...], at: int
) -> None:
    whole = world(*GAIN, "stopping.gain=end", name="whole", pools=pools)
    whole.run()
    broken = world(*GAIN, "stopping.gain=end", name="broken", pools=pools)
    seen: list[Event] = []

    def killed(event: Event) -> None:
        seen.append(event)
        if sum(e.step == "compare" for e in seen) == 2 * at - 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken.run(notify=killed)
    broken.run()
    assert broken.ledger() == whole.ledger()


@pytest.mark.slow
def test_where_too_few_sites_are_left_to_compare_the_study_ends_and_tries_again_when_it_is_gone_on(
    world: Callable[..., World], pools: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = world(*GAIN, "stopping.gain=end", pools=pools)
    whole = server_gain.trained

    def lost(c: Any, cycle: int, start: Any, sequence: int = 0) -> Any:
        if sequence == 2:
            raise QuorumLost("cycle 2, train, round 0: 1 of 3 sites answered")
        return whole(c, cycle, start, sequence)

    monkeypatch.setattr(server_gain, "trained", lost)
    assert len(made.run()) == 4
    assert [e.step for e in made.events[-2:]] == ["not-compared", "end"]
    assert not made.committed(2, "compare")
    monkeypatch.setattr(server_gain, "trained", whole)
    made.run()
    assert made.committed(2, "compare")


@pytest.mark.slow
def test_a_site_with_labels_of_too_few_patients_is_in_neither_model(
    world: Callable[..., World], pools: tuple[int, ...]
) -> None:
    made = world(*GAIN, "stopping.gain=end", pools=pools)
    made.run()
    site = open_home(next(iter(made.homes.values())))
    own = shares(site, made.study, 2)
    patients = [len(set(site.store.cases.patients(part))) for part in (own.random, own.queried)]
    careful = replace(site, least_patients=max(patients) + 1)
    for sequence in (1, 2):
        key = StepKey(made.study.identity, 2, "train", 1, sequence)
        with pytest.raises(StepRefused) as refused:
            train(careful, made.study, StepRequest(key, 9, made.weights))
        assert refused.value.code == Code.TOO_FEW_PATIENTS
    site.store.close()


@pytest.mark.slow
def test_a_study_without_a_comparison_is_asked_for_none(world: Callable[..., World]) -> None:
    made = world(name="refusing")
    made.run()
    site = open_home(next(iter(made.homes.values())))
    arrays = made.weights
    for key, sent in (
        (StepKey(made.study.identity, 0, "train", 0, 1), arrays),
        (StepKey(made.study.identity, 0, "compare", 1), together(arrays, arrays)),
    ):
        with pytest.raises(StepRefused) as refused:
            answer(site, StepRequest(key, 9, sent))
        assert refused.value.code == Code.BAD_REQUEST
    site.store.close()
    assert "SiteGain" not in {row.record for row in described(made.study, 100)}


@pytest.mark.slow
def test_a_site_compares_two_networks_of_the_study_and_no_other_arrays(
    world: Callable[..., World], pools: tuple[int, ...]
) -> None:
    made = world(*GAIN, "stopping.gain=end", pools=pools)
    made.run()
    site = open_home(next(iter(made.homes.values())))
    key = StepKey(made.study.identity, 2, "compare", 2)
    one = dict(made.weights)
    short = dict(list(one.items())[1:])
    for sent in (one, together(one, short), {**together(one, one), "third:x": np.zeros(1)}):
        with pytest.raises(StepRefused) as refused:
            answer(site, StepRequest(key, 9, sent))
        assert refused.value.code in (Code.BAD_REQUEST, Code.CONFLICT)
    site.store.close()
    random, queried = taken_apart(together(one, short))
    assert random.keys() == one.keys()
    assert queried.keys() == short.keys()


@pytest.mark.slow
def test_the_gate_lets_sums_of_two_models_by_and_nothing_in_their_place(
    world: Callable[..., World], pools: tuple[int, ...]
) -> None:
    made = world(*GAIN, "stopping.gain=end", pools=pools)
    made.run()
    ledger = ledger_of(made)
    told = ledger.records(Stage(2, "compare", 2), SiteGain)
    ledger.connection.close()
    assert told is not None
    site, good = next((s, g) for s, g in told.items() if g.pair is not None)
    asking = Asking(site, made.study)
    assert release(good, asking).kind == "SiteGain"
    assert good.pair is not None
    smuggled = np.arange(good.pair.across.size, dtype=np.float32)
    other = replace(good.pair.queried, cases=good.pair.queried.cases + 1)
    for pair in (replace(good.pair, across=smuggled), replace(good.pair, queried=other)):
        with pytest.raises(KeptBack):
            release(replace(good, pair=pair), asking)
    with pytest.raises(KeptBack):
        release(replace(good, site="south" if site != "south" else "west"), asking)
    with pytest.raises(KeptBack, match="unknown kind"):
        release(good, Asking(site, world(name="plain").study))
    rows = {row.record: row for row in described(made.study, 100)}
    assert "SiteGain" in rows
    assert rows["SiteUpdate"].often == "6 times a cycle"


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("training.start=warm", "privacy={}"), "private study"),
        (("aggregation.secure=true",), "aggregation.secure"),
        (("budget.exploration=0.0",), "drawn at random"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_sentence(
    tiny_study: Callable[..., Any], overrides: tuple[str, ...], said: str
) -> None:
    with pytest.raises(StudyError, match=said) as refused:
        tiny_study("stopping.gain=end", *overrides)
    assert str(refused.value).startswith("stopping.gain = 'end': accepted is")


@pytest.mark.slow
def test_status_dashboard_and_card_tell_of_the_newest_comparison(
    world: Callable[..., World], pools: tuple[int, ...], tmp_path: Path
) -> None:
    made = world(*GAIN, "budget.total=48", "stopping.gain=cycle", pools=pools)
    made.run()
    home = tmp_path / "home"
    make_home(home, HomeConfig(address="localhost:4430"))
    paths = ServerPaths(home)
    folder = paths.studies / "here"
    folder.parent.mkdir()
    shutil.copytree(made.folder / "server", folder)
    (folder / "study.toml").write_text(tomli_w.dumps(document(made.study)), encoding="utf-8")
    (folder / "weights.safetensors").write_bytes(pack(GlobalState(made.weights)))
    registry = Registry.open(paths.registry)
    sites = tuple(made.homes)
    StudyShelf(registry.connection).add(
        StudyRow(made.study.identity, made.study.name, "here", "0" * 64, "Dr. Ada", sites, "ended")
    )
    with closing(ledger_of(made).connection):
        newest = list(gains(ledger_of(made), made.study))[-1]
    assert newest.words in as_text(overview(home))
    assert as_dict(overview(home))["studies"][0]["gain"] == newest.words
    shown = study_page(paths, made.study.identity)
    assert shown is not None
    assert [g["cycle"] for g in shown["gains"]] == [1]
    templates = Environment(loader=FileSystemLoader(DASHBOARD / "templates"), autoescape=True)
    html = templates.get_template("study.html.j2").render(refresh=9, **shown)
    assert "Is asking worth more than chance?" in html
    assert f"After cycle 2: {newest.verdict}" in html
    card = export_study(paths, registry, made.study.name, tmp_path / "out")
    registry.close()
    assert card["gains"][-1]["words"] == newest.words
    assert newest.words in (tmp_path / "out" / "card.md").read_text(encoding="utf-8")
