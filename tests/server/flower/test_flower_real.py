"""A real SuperLink and SuperExec: whose runs they run, whose nodes they let in.

Without the keeper's process: its parts are called here, one look at a time.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w

from protocol.codec import pack
from protocol.records import GlobalState
from protocol.study import document, load
from server import submitting
from server.flower.nodes import match_nodes
from server.flower.runs import Runs
from server.flower.services import services
from server.registry.presence_shelf import PresenceShelf
from server.registry.registry import Registry
from server.registry.site_shelf import SiteShelf
from server.registry.study_shelf import StudyShelf

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:GitWildMatchPattern:DeprecationWarning"),  # flwr's own
    pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed"),
]
DEMO = Path(submitting.__file__).parents[1] / "simulations" / "studies" / "demo.toml"


@pytest.fixture(scope="module")
def flower(house: Any) -> Iterator[Any]:
    """SuperLink and SuperExec as the daemon starts them, without nginx and the rest."""
    from server.flower.control import Control

    with ExitStack() as stack:
        for service in services(house.home, house.config)[:2]:
            port = house.config.superlink_port if service.name == "superlink" else 0
            child = house.running(service.name, service.command, service.env, port)
            stack.enter_context(child)
        control = Control(house.config.superlink_port, house.paths.pki / "loop-ca.crt")
        house.control = stack.enter_context(control)
        yield house


@pytest.fixture
def registry(flower: Any) -> Iterator[Registry]:
    opened = Registry.open(flower.paths.registry)
    yield opened
    opened.close()


def frozen(folder: Path, seed: int) -> Path:
    """A frozen study; its weights fit no network, which a server cannot tell."""
    content = document(load(DEMO, [f"seed={seed}", f'name="study-{seed}"']))
    content.pop("simulation")
    folder.mkdir()
    (folder / "study.toml").write_text(tomli_w.dumps(content), encoding="utf-8")
    weights = pack(GlobalState({"w": np.zeros(3, dtype=np.float32)}))
    (folder / "weights.safetensors").write_bytes(weights)
    return folder


def bundle(**files: str) -> bytes:
    """A bundle as another user of the machine would build it."""
    from flwr.cli.build import build_fab_from_files

    return build_fab_from_files({n.replace("__", "/"): t.encode() for n, t in files.items()})[0]


PROJECT = """
[project]
name = "wardround"
version = "0.1.0"
description = "d"
license = "Apache-2.0"
[tool.flwr.app]
publisher = "wardround"
[tool.flwr.app.components]
{components}
[tool.flwr.app.config]
home = ""
"""
BOTH = 'serverapp = "server.app:app"\nclientapp = "client.app:app"'


def start(flower: Any, content: bytes, home: str = "", prompt: str = "") -> int:
    """What `flwr run` does, as anybody on this machine can."""
    import hashlib

    from flwr.common.serde import user_config_to_proto
    from flwr.proto.control_pb2 import StartRunRequest
    from flwr.proto.fab_pb2 import Fab

    request = StartRunRequest(
        fab=Fab(hash_str=hashlib.sha256(content).hexdigest(), content=content),
        override_config=user_config_to_proto({"home": home}),
        user_prompt=prompt,
    )
    return int(flower.control._client.StartRun(request).run_id)


def run_of(flower: Any, number: int) -> Any:
    return next(run for run in flower.control.runs() if run.id == number)


def test_a_bundle_with_python_runs_none_of_it(flower: Any, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    code = f"open({str(canary)!r}, 'w').write('it ran')\n"
    content = bundle(
        **{
            "pyproject.toml": PROJECT.format(components=BOTH),
            "server____init__.py": code,
            "server__app.py": code,
            "sitecustomize.py": code,
            "client__app.py": code,
        }
    )
    number = start(flower, content)
    flower.until(lambda: run_of(flower, number).ending == "failed", 30.0)
    assert not canary.exists()
    assert "BundleRefused" in (flower.paths.logs / "serverapp.log").read_text(encoding="utf-8")
    assert not list((flower.paths.flower / "home").glob("apps/*"))  # nothing was unpacked


def test_our_bundle_on_a_folder_that_is_no_study_is_refused(flower: Any, tmp_path: Path) -> None:
    from protocol.bundle import fab

    folder = frozen(tmp_path / "theirs", 99)
    number = start(flower, fab(), str(folder))
    flower.until(lambda: run_of(flower, number).ending == "failed", 30.0)
    assert sorted(p.name for p in folder.iterdir()) == ["study.toml", "weights.safetensors"]


def test_a_task_that_no_server_runs_ends_nothing(flower: Any, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    content = bundle(
        **{
            "pyproject.toml": PROJECT.format(components='agentapp = "agent:app"'),
            "agent.py": f"open({str(canary)!r}, 'w')\n",
        }
    )
    start(flower, content, prompt="do it")
    log = flower.paths.logs / "superexec.log"
    flower.until(lambda: "flwr-agentapp: this server runs no such task" in log.read_text(), 20.0)
    assert not canary.exists()
    test_our_bundle_on_a_folder_that_is_no_study_is_refused(flower, tmp_path)  # it still works


def test_a_submitted_study_gets_one_run_and_others_are_stopped(
    flower: Any, registry: Registry, tmp_path: Path
) -> None:
    flower.join("site-01", 0)
    flower.join("site-02", 1)
    ready = submitting.read_frozen(frozen(tmp_path / "study", 1))
    row = submitting.submit(flower.paths, flower.config, registry, ready, ())
    runs = Runs(flower.paths.studies, grace=0.0)
    stranger = start(flower, bundle(**{"pyproject.toml": PROJECT.format(components=BOTH)}))
    runs.match(registry, flower.control)
    kept = StudyShelf(registry.connection).find("study-1").run
    assert kept is not None
    assert not run_of(flower, stranger).lives
    ledger = flower.paths.studies / row.folder / "ledger.db"
    flower.until(ledger.exists, 30.0)  # our ServerApp began
    twin = flower.control.start(flower.paths.studies / row.folder)
    for _ in range(2):
        runs.match(registry, flower.control)
    alive = [run.id for run in flower.control.runs() if run.lives]
    assert alive == [kept]
    assert twin != kept
    submitting.order(registry, "study-1", "stopped", ("running",), "study-stopped")
    flower.until(lambda: not run_of(flower, kept).lives or runs.match(registry, flower.control))
    runs.match(registry, flower.control)
    assert [run.id for run in flower.control.runs() if run.lives] == []


def test_nodes_are_those_of_the_registry(flower: Any, registry: Registry) -> None:
    from server.flower.control import pem_of

    key = flower.join("site-07", 7)
    other = flower.control.register(pem_of(flower.join("site-08", 8)), "somebody")
    shelf = SiteShelf(registry.connection)
    with registry.transaction():
        shelf.revoke("site-08", "2026-01-01T00:00:00+00:00")
    match_nodes(registry, flower.control)
    match_nodes(registry, flower.control)
    listed = {node.key: node for node in flower.control.nodes()}
    site = shelf.find("site-07")
    assert site is not None
    assert site.node == listed[pem_of(key)].id
    assert {n.id: n.status for n in listed.values()}[other] == "unregistered"
    presence = PresenceShelf(registry.connection).of("site-07")
    assert presence is not None
    assert presence.node_online is False
    assert not presence.online
