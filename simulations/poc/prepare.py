"""A federation made ready: homes, keys, kits, cases, and a frozen study."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from client.cases.cases import Cases
from client.cases.open import open_cases
from client.home import Deployment, HomePaths, open_store
from client.home import make_home as make_site_home
from client.home import read_config as read_site
from client.site import Arrival, enrol
from daemons.ports import free_port
from protocol.records import Indices
from protocol.study import Study, load
from server.home import make_home as make_server_home
from server.home import read_config as read_server
from simulations.freezing import freeze_study
from simulations.hospitals import rows_of, site_key
from simulations.plan import write_json
from simulations.poc.commands import ask, call
from simulations.poc.crew import SIMULATED, Crew, accounts, import_cases
from simulations.poc.layout import Layout


def prepare(layout: Layout, file: Path, overrides: list[str], crew: Crew = SIMULATED) -> None:
    """Make everything that is not there yet; a preparation that was cut short begins anew."""
    if layout.ready.exists():
        return
    study = load(file, overrides)
    freeze_study(file, overrides, layout.study, None)
    _server(layout)
    cases = simulated(study)
    for number, (name, rows) in enumerate(rows_of(study, cases).items()):
        _site(layout, name, crew)
        if name in crew.sources:
            import_cases(layout, study, name, crew)
        else:
            _cases(layout, study, cases, (name, number, rows))
        if crew.people:
            accounts(layout, name)
    ready = {"format": 1, "sites": list(layout.names), "people": crew.people}
    write_json(layout.ready, ready)


def submitted(layout: Layout) -> str:
    """Hand the prepared study in; its identity. Who never returns is not waited for in the end."""
    words = ("submit", str(layout.study), "--settle", "0.01")
    return str(ask("wardround-server", *words, home=layout.server)["identity"])


def _server(layout: Layout) -> None:
    home = layout.server
    address = f"localhost:{free_port()}"
    listen = address.replace("localhost", "127.0.0.1")
    call("wardround-server", "init", "--address", address, "--listen", listen, home=home)
    ports = {"superlink_port": free_port(), "dashboard": f"127.0.0.1:{free_port()}"}
    make_server_home(home, read_server(home).model_copy(update=ports))


def _site(layout: Layout, name: str, crew: Crew) -> None:
    """The site's home, joined by the commands that its admin and the server's would use."""
    home, kit = layout.site(name), layout.out / f"{name}.kit.json"
    call("wardround-site", "init", name, home=home)
    request = HomePaths(home).request
    fingerprint = ask("wardround-site", "request", home=home)["fingerprint"]
    words = ("sites", "add", name, str(request), "--out", str(kit), "--fingerprint", fingerprint)
    said = ask("wardround-server", *words, home=layout.server)
    call("wardround-site", "join", str(kit), "--fingerprint", said["fingerprint"], home=home)
    config = read_site(home)
    joined = config.deployment or Deployment()
    own: dict[str, Any] = {
        "runtime_port": free_port(),
        "room": f"127.0.0.1:{free_port()}",
        "progress_seconds": 2.0,
        "silence_seconds": 90.0,
    }
    if crew.own:  # nothing leaves this machine: no patient has to hide among others
        own["least_patients"] = 1
    deployment = joined.model_copy(update=own)
    make_site_home(home, config.model_copy(update={"deployment": deployment}))


def simulated(study: Study) -> Cases:
    """The phantom as `wardround simulate` takes it, without validation cases."""
    cases = open_cases("phantom", study.task, study.seed)
    return cases.take([i for i, split in enumerate(cases.splits) if split != "val"])


def _cases(layout: Layout, study: Study, cases: Cases, site: tuple[str, int, Indices]) -> None:
    """Enrol the site's share; what is true of its pool goes to its readers alone.

    The same cases in the same order as in a simulation, under a secret that comes from the study's
    seed here, too: both choose the same cases and end with the same model, bit by bit.
    """
    name, number, rows = site
    home, key = layout.site(name), site_key(study, number)
    assert cases.targets is not None  # noqa: S101 - a phantom has them
    targets, own = cases.targets, [int(row) for row in rows]
    np.save(home / "images.npy", cases.images[own], allow_pickle=False)
    make_site_home(home, read_site(home).model_copy(update={"images": "images.npy"}))
    secret = HomePaths(home).keys / "site.secret"
    secret.write_bytes(key.secret)
    arrival = Arrival(
        names=[cases.keys[i] for i in own],
        patients=[cases.patients[i] for i in own],
        splits=["locked" if cases.splits[i] == "test" else "pool" for i in own],
        rows=list(range(len(own))),
        targets=targets[own],
    )
    store = open_store(home)
    try:
        enrol(store, key, arrival, clustered=cases.clustered)
    finally:
        store.close()
    truths = {
        key.case(cases.keys[i]): [int(v) for v in targets[i]]
        for i in own
        if cases.splits[i] != "test"
    }
    layout.truths(name).parent.mkdir(parents=True, exist_ok=True)
    layout.truths(name).write_text(json.dumps(truths), encoding="utf-8")
