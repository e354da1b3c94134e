"""What every Flower program of a site is told by its environment: nothing calls out."""

from __future__ import annotations

import os
from collections.abc import Mapping

from client.paths import HomePaths

TOKEN = "WARDROUND_TASK_TOKEN"  # noqa: S105 - where it is, not what
"""Holds the token of a ClientApp's task: whoever has it may answer in the site's name."""

_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "ftp_proxy")
_QUIET = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    "FLWR_TRACING_ENABLED": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
}
_NO_PROXY = {
    **dict.fromkeys((*_PROXIES, *map(str.upper, _PROXIES)), ""),
    "no_proxy": "*",
    "NO_PROXY": "*",
}


def flower_environment(paths: HomePaths) -> Mapping[str, str]:
    """What to add to the environment of a home's Flower programs.

    The first folder of PATH holds our own `flwr-clientapp`, as SuperExec starts it by its name. No
    proxy of the environment applies: SuperExec and the ClientApp talk to loopback only, and the
    SuperNode takes the proxy that site.toml names.
    """
    path = os.pathsep.join((str(paths.launchers), os.environ.get("PATH", os.defpath)))
    return {**_QUIET, **_NO_PROXY, "FLWR_HOME": str(paths.flower), "PATH": path}


def enter(paths: HomePaths) -> None:
    """Put this process into that environment; before the first import of flwr, which reads it."""
    os.environ.update(flower_environment(paths))
