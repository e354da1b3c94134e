"""Our `flwr-clientapp`: runs the installed ClientApp, whatever came over the network.

SuperExec starts one per message. The FAB is neither unpacked nor put on the path; its bytes only
say that both sides mean the same app. Relies on internals of flwr 1.41, which tests hold: see
`tests/client/test_flower_internals.py`.
"""

from __future__ import annotations

import argparse
import ctypes
import fcntl
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from client.flower.environment import TOKEN, enter
from client.flower.welcome import wait_for_welcome
from client.paths import HomePaths

if TYPE_CHECKING:
    from flwr.clientapp import ClientApp

_DEATH_SIGNAL = 1  # prctl's PR_SET_PDEATHSIG


def main() -> None:
    """The program, with the options that our SuperExec gives, and `--home` of our launcher."""
    given, token = _arguments(), os.environ.pop(TOKEN)
    die_with(given.parent_pid)
    paths = HomePaths(given.home)
    enter(paths)
    import flwr.supernode.runtime.run_clientapp as runner

    import client.app  # the installed one

    guard(runner, client.app.app, paths)
    runner.run_clientapp(
        runtime_api_address=given.runtime_api_address,
        token=token,
        insecure=True,  # on loopback
        parent_pid=given.parent_pid,
        runtime_dependency_install=False,
    )


def guard(runner: Any, app: ClientApp, paths: HomePaths) -> None:
    """Let flwr's runner take our app and no other, one at a time at this site."""

    def load(fab_id: str, fab_version: str, fab_hash: str) -> ClientApp:
        wait_for_welcome(paths)
        wait_for_turn(paths)
        return app

    def loader(**options: object) -> Callable[[str, str, str], ClientApp]:
        return load

    runner.install_from_fab = check_fab
    runner.get_load_client_app_fn = loader


def check_fab(fab: bytes, **options: object) -> None:
    """In place of unpacking it.

    Raises:
        ValueError: it is not the one of the installed package.
    """
    from protocol.bundle import fab as ours

    if fab != ours():
        raise ValueError("a FAB that is not ours; accepted is the one of the installed package")


def wait_for_turn(paths: HomePaths) -> None:
    """Return once no other ClientApp of this site works; the turn ends with this program.

    A SuperNode that was started anew may ask for a step that the ClientApp of the one before is
    still doing: it waits here, and finds the answer remembered.
    """
    turn = os.open(paths.run / "clientapp.lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(turn, fcntl.LOCK_EX)


def die_with(parent: int | None) -> None:
    """Let the kernel kill this program when SuperExec dies, also in the midst of a long step."""
    ctypes.CDLL(None, use_errno=True).prctl(_DEATH_SIGNAL, signal.SIGKILL)
    if parent is not None and os.getppid() != parent:  # it died before the line above
        sys.exit(1)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="flwr-clientapp")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--runtime-api-address", required=True)
    parser.add_argument("--insecure", action="store_true", required=True)
    parser.add_argument("--parent-pid", type=int)
    return parser.parse_args()


if __name__ == "__main__":
    main()
