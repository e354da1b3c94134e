"""What our SuperNode, SuperExec and ClientApp rely on inside flwr: another version fails here."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx
import pytest
from flwr.app import Error, Message
from flwr.app.metadata import Metadata

from client.flower import clientapp, guards
from client.flower.environment import flower_environment
from client.flower.fleet import Fleet
from client.flower.superexec import ClientApps
from client.paths import HomePaths
from protocol.bundle import fab, fab_hash

CONNECTION = "flwr.supernode.fleet_http_connection"
LOOP = "flwr.supernode.start_client_internal"
CLI = "flwr.supernode.cli.flower_supernode"
STATE = "flwr.supernode.nodestate.in_memory_nodestate"
CLIENTAPP = "flwr.supernode.runtime.run_clientapp"
SUPEREXEC = "flwr.supercore.superexec.run_superexec"


@pytest.mark.parametrize(
    ("module", "name", "used"),
    [
        (CONNECTION, "FleetHttpClient", "FleetHttpClient.from_server_address("),
        (CONNECTION, "HeartbeatSender", "HeartbeatSender(send_node_heartbeat)"),
        (LOOP, "http_request_response", "with http_request_response("),
        (LOOP, "_verify_fab", "fab_verified = _verify_fab(fab, trusted_entities)"),
        (LOOP, "FAB_VERIFICATION_ERROR", "Message(FAB_VERIFICATION_ERROR, reply_to=message)"),
        (CLI, "_parse_supernode_lifespan_config", "config = _parse_supernode_lifespan_config()"),
        (CLI, "flower_supernode", "def flower_supernode() -> None"),
        (STATE, "CLIENT_APP_CRASHED_ERROR", "_store_error_replies(client_run_ids, CLIENT_APP"),
        (CLIENTAPP, "install_from_fab", "install_from_fab(fab.content, skip_prompt=True)"),
        (CLIENTAPP, "get_load_client_app_fn", "load_client_app_fn = get_load_client_app_fn("),
        (SUPEREXEC, "get_executor", "executor = get_executor("),
        (SUPEREXEC, "run_superexec", "executor.reconcile()"),
    ],
)
def test_flwr_looks_there_for_what_we_put_there(module: str, name: str, used: str) -> None:
    found = import_module(module)
    assert hasattr(found, name)
    assert used in inspect.getsource(found)


def test_the_loop_verifies_before_anything_is_kept() -> None:
    source = inspect.getsource(import_module(LOOP)._pull_and_store_message)
    order = ["get_run(run_id)", "get_fab(", "valid_license", "_verify_fab(", "store_fab("]
    places = [source.index(word) for word in order]
    assert places == sorted(places)


def test_a_refusal_of_ours_reaches_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    installed: list[str] = []
    for module, names in {
        CONNECTION: ["FleetHttpClient", "HeartbeatSender"],
        LOOP: ["http_request_response", "_verify_fab"],
    }.items():
        for name in names:
            monkeypatch.setattr(f"{module}.{name}", getattr(import_module(module), name))
    state = import_module(STATE).InMemoryNodeState
    for name in ("_store_error_replies", "finish_task"):
        monkeypatch.setattr(state, name, getattr(state, name))
    guards.install(Fleet(httpx.Client), lambda: installed.append("refused"))
    verify = import_module(LOOP)._verify_fab
    from flwr.supercore.fab import Fab

    assert verify(Fab(fab_hash(), fab(), {}), {})
    assert not installed
    assert not verify(Fab(fab_hash(), fab() + b"\0", {}), {})
    assert not verify(Fab("0" * 64, fab(), {}), {})
    assert installed == ["refused", "refused"]


def test_the_connection_gives_what_we_guard_in_that_order() -> None:
    source = inspect.getsource(import_module(CONNECTION).http_request_response)
    given = re.search(r"yield \(\n(.*?)\n            \)", source, re.S)
    assert given
    names = [word.strip(" ,") for word in given[1].splitlines()]
    assert names == [
        "node.node_id", "receive", "send", "get_run", "get_fab", "pull_object", "push_object",
        "confirm_message_received",
    ]  # fmt: skip
    assert len(fields(guards.Calls)) == len(names)


def message(error: Error) -> Message:
    metadata = Metadata(
        run_id=1, message_id="", src_node_id=7, dst_node_id=1, reply_to_message_id="asked",
        group_id="", created_at=1.0, ttl=60.0, message_type="train",
    )  # fmt: skip
    made: Callable[..., Message] = Message
    found = made(metadata=metadata, error=error)
    found.metadata.__dict__["_message_id"] = found.object_id
    return found


def test_errors_leave_as_codes_in_every_part_of_a_message() -> None:
    sent: list[Any] = []

    def send(one: Message, tree: Any, seconds: float) -> tuple[set[str], str]:
        sent.append((one, tree))
        return {tree.object_id}, "session"

    def push(run_id: int, session: str, object_id: str, block: bytes) -> None:
        sent.append((session, object_id, block))

    calls = guards.Calls(7, None, send, None, None, None, push, None)  # type: ignore[arg-type]
    worded = message(Error(2, "Jane Doe 1961"))
    mine = worded.metadata.message_id
    assert guards.guard(calls)[2](worded, None, 0.1) == (set(), "session")
    (bare, tree), (_, object_id, block) = sent
    assert bare.error.code == 2
    assert bare.error.reason == ""
    assert bare.metadata.message_id == bare.object_id == tree.object_id == object_id
    assert bare.metadata.reply_to_message_id == "asked"
    assert b"Jane" not in block
    assert not Message.inflate(block).error.reason
    assert worded.metadata.message_id == mine  # by which flwr deletes it


def test_a_bare_reply_passes_as_it_is() -> None:
    sent: list[Message] = []

    def send(one: Message, tree: Any, seconds: float) -> tuple[set[str], str]:
        sent.append(one)
        return {"a"}, "s"

    calls = guards.Calls(7, None, send, None, None, None, None, None)  # type: ignore[arg-type]
    content = message(Error(8, ""))
    assert guards.guard(calls)[2](content, "tree", 0.1) == ({"a"}, "s")
    assert sent == [content]


def test_a_fab_of_another_name_is_not_even_fetched() -> None:
    calls = guards.Calls(7, *[None] * 7)  # type: ignore[arg-type]
    refused = guards.guard(calls)[4]("0" * 64, 1)
    assert refused.content == b""
    assert refused.verifications


def test_a_server_sets_nothing_for_the_app() -> None:
    from dataclasses import replace

    from flwr.supercore.run import Run

    asked = replace(
        Run.create_empty(1), primary_task_type="flwr-agentapp", override_config={"home": "x"}
    )
    taken = guards.plain_run(asked)
    assert taken.primary_task_type == "flwr-serverapp"
    assert taken.override_config == {}
    assert "primary_task_type == TaskType.AGENT_APP" in inspect.getsource(
        import_module(LOOP)._pull_and_store_message
    )


def test_the_clientapp_runs_ours_and_unpacks_nothing(tmp_path: Path) -> None:
    from types import SimpleNamespace

    import client.app

    (tmp_path / "run").mkdir()
    runner: Any = SimpleNamespace()
    clientapp.guard(runner, client.app.app, HomePaths(tmp_path))
    load = runner.get_load_client_app_fn(default_app_ref="", app_path=None, multi_app=True)
    assert load("evil/app", "1.0", "0" * 64) is client.app.app
    runner.install_from_fab(fab(), skip_prompt=True)
    with pytest.raises(ValueError, match="not ours"):
        runner.install_from_fab(fab() + b"\0", skip_prompt=True)


def test_superexec_starts_clientapps_only(tmp_path: Path) -> None:
    from flwr.supercore.constant import TaskType
    from flwr.supercore.superexec.executor import ExecutionSpec, Executor, LaunchResultStatus

    apps: Executor = ClientApps(tmp_path / "none", "127.0.0.1:1")
    room, _ = apps.get_eligible_capacity({*TaskType})
    assert room == {TaskType.CLIENT_APP}
    spec = ExecutionSpec(TaskType.AGENT_APP, "127.0.0.1:1", "t", True, None, False, 1, True, 1)
    assert apps.launch(spec).status == LaunchResultStatus.FAILED


def test_no_task_s_token_is_seen_by_other_users(tmp_path: Path) -> None:
    from flwr.supercore.constant import TaskType
    from flwr.supercore.superexec.executor import ExecutionSpec

    program, said = tmp_path / "flwr-clientapp", tmp_path / "said"
    script = f'#!/bin/sh\necho "$* and $WARDROUND_TASK_TOKEN" > {said}.new; mv {said}.new {said}\n'
    program.write_text(script)
    program.chmod(0o700)
    apps = ClientApps(program, "127.0.0.1:1")
    token = "5ec7" + "e7"
    spec = ExecutionSpec(TaskType.CLIENT_APP, "127.0.0.1:1", token, True, None, False, 1, True, 1)
    apps.launch(spec)
    apps._alive[token].wait(10)
    words, _, secret = said.read_text().partition(" and ")
    assert token not in words
    assert secret.strip() == token


@pytest.mark.slow
def test_the_environment_turns_off_whatever_calls_out(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = (
        "import urllib.request as u, flwr.supercore.telemetry as t, os;"
        "from flwr.supercore.update_check import FLWR_DISABLE_UPDATE_CHECK as f;"
        "print(t.FLWR_TELEMETRY_ENABLED, os.environ[f], u.getproxies() or u.proxy_bypass('x'))"
    )
    env = {
        "HTTPS_PROXY": "http://127.0.0.1:9",
        "all_proxy": "http://127.0.0.1:9",
        **flower_environment(HomePaths(tmp_path)),
    }
    said = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert said.stdout.split()[:2] == ["0", "1"], said.stderr
    assert "127.0.0.1:9" not in said.stdout
