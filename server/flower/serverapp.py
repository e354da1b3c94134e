"""`flwr-serverapp` as this server starts it: our bundle, our studies, no code from elsewhere.

Flower's Control API asks nobody who they are: another user of this machine could submit any
bundle. Flower would unpack it and put it in front of Python's path; here other bytes than ours
are refused before they are unpacked, and the bundle's folder never reaches the path.
"""

from __future__ import annotations

import importlib
import os
import shlex
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from daemons.logs import open_log, trim
from protocol.bundle import fab
from protocol.files import replace_file
from server.home import ServerPaths

_REFUSED = ("flwr-agentapp", "flwr-clientapp", "flwr-connector", "flwr-model", "flwr-simulation")
_LONGEST = 8 * 2**20  # bytes of a log before it is put aside
_TOKEN = "WARDROUND_TASK_TOKEN"  # noqa: S105 - where it is, not what
_LAUNCHER = """\
#!/bin/sh
# arguments are for every user of this machine to see, and the token is not
before=
for word; do
  shift
  if [ "$before" = --token ]; then export {token}="$word"
  elif [ "$word" != --token ]; then set -- "$@" "$word"
  fi
  before="$word"
done
exec {python} -P -m server.flower.serverapp {home} "$@"
"""
_REFUSAL = "#!/bin/sh\necho '{name}: this server runs no such task' >&2\nexit 1\n"


class BundleRefused(ValueError):
    """A run that this server did not ask for."""


def write_launchers(home: Path) -> Path:
    """The folder that stands first on SuperExec's path: our `flwr-serverapp`, and refusals.

    SuperExec starts what it runs by name; a name that it did not find would end it.
    """
    folder = ServerPaths(home).run / "bin"
    folder.mkdir(exist_ok=True)
    python, place = shlex.quote(sys.executable), shlex.quote(str(home))
    ours = _LAUNCHER.format(token=_TOKEN, python=python, home=place)
    texts = {name: _REFUSAL.format(name=name) for name in _REFUSED} | {"flwr-serverapp": ours}
    for name, text in texts.items():
        replace_file(folder / name, text.encode(), sync=False)
        (folder / name).chmod(stat.S_IRWXU)
    return folder


def guard(home: Path) -> None:
    """Change this process's Flower so that it runs submitted studies of this home only."""
    importlib.import_module("server.app")  # the installed one, before a bundle is looked at
    references = vars(importlib.import_module("flwr.supercore.object_ref"))
    references["_ensure_sys_path"] = lambda directory: None
    runtime = vars(importlib.import_module("flwr.superlink.runtime.run_serverapp"))
    runtime["install_from_fab"] = _only_ours(runtime["install_from_fab"])
    fused: Callable[..., dict[str, Any]] = runtime["get_fused_config_from_dir"]

    def checked(*arguments: Any) -> dict[str, Any]:
        config = fused(*arguments)
        check_study(home, str(config.get("home", "")))
        return config

    runtime["get_fused_config_from_dir"] = checked


def _only_ours(install: Callable[..., Path]) -> Callable[..., Path]:
    def checked(content: object, **options: Any) -> Path:
        if content != fab():
            raise BundleRefused("the bundle is not the one that is installed here")
        return install(content, **options)

    return checked


def check_study(home: Path, asked: str) -> None:
    """Refuse a run whose folder is not that of a study that runs here.

    Raises:
        BundleRefused: it is not.
    """
    from server.registry.registry import Registry
    from server.registry.study_shelf import OPEN, StudyShelf

    registry = Registry.open(ServerPaths(home).registry)
    try:
        folders = {
            str(ServerPaths(home).studies / row.folder)
            for row in StudyShelf(registry.connection).all()
            if row.state in OPEN
        }
    finally:
        registry.close()
    if asked not in folders:
        raise BundleRefused("the run is not of a study that was submitted here and is open")


def _log_to(file: Path) -> None:
    """SuperExec gives its ServerApps nowhere to write to."""
    trim(file, _LONGEST)
    log = open_log(file)
    for descriptor in (sys.stdout.fileno(), sys.stderr.fileno()):
        os.dup2(log, descriptor)
    os.close(log)


def main() -> None:
    """What `run/bin/flwr-serverapp` starts: the home, then Flower's arguments but the token."""
    home = Path(sys.argv.pop(1))
    sys.argv[0] = "flwr-serverapp"
    if token := os.environ.pop(_TOKEN, ""):
        sys.argv += ["--token", token]
    os.umask(0o077)
    _log_to(ServerPaths(home).logs / "serverapp.log")
    guard(home)
    importlib.import_module("flwr.superlink.cli").flwr_serverapp()


if __name__ == "__main__":
    main()
