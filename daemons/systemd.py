"""A systemd unit for a daemon: its own user, its own folder to write, and nothing else."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

_PATH = re.compile(r"/[A-Za-z0-9._/+@-]*")  # nothing that a unit would read in its own way
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,30}")
_HOMES = (Path("/", "home"), Path("/", "root"), Path("/", "run", "user"))
_BIND = "CAP_NET_BIND_SERVICE"

_TEXT = """\
[Unit]
Description={description}
Wants=network-online.target
After=network-online.target time-sync.target
StartLimitIntervalSec=0

[Service]
Type=exec
User={user}
Group={user}
WorkingDirectory={home}
Environment=HOME={home} WARDROUND_HOME={home}
ExecStart={command} start --home {home}
Restart=always
RestartSec=5

# The daemon ends its children itself, in their order; what it leaves after that is killed.
KillMode=mixed
TimeoutStopSec=120
# One child that the kernel killed for memory is started anew; the others go on.
OOMPolicy=continue

# It writes its home and nothing else, and gains no rights.
UMask=0077
LimitCORE=0
ProtectSystem=strict
ReadWritePaths={home}
ProtectHome={hidden}
PrivateTmp=yes
{devices}NoNewPrivileges=yes
CapabilityBoundingSet={capabilities}
AmbientCapabilities={capabilities}
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
ProtectProc=invisible
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
LockPersonality=yes
RemoveIPC=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
"""


@dataclass(frozen=True, slots=True)
class Unit:
    """What differs between the units of a site and of a server.

    Attributes:
        name: of the command, and of the unit.
        description: one line.
        home: the daemon's folder, absolute.
        user: that runs it, and its group.
        low_port: it listens on a port below 1024.
        devices: it may use a GPU.
    """

    name: str
    description: str
    home: Path
    user: str
    low_port: bool = False
    devices: bool = False

    @property
    def file(self) -> str:
        """The unit's file name."""
        return f"{self.name}.service"

    def text(self) -> str:
        """The unit.

        Raises:
            ValueError: a path or user that a unit cannot hold as it is.
        """
        command = Path(sys.executable).with_name(self.name)
        for path in (self.home, command):
            if not _PATH.fullmatch(str(path)):
                raise ValueError(
                    f"{str(path)!r}: in a unit, accepted are absolute paths of letters, digits "
                    "and . _ / + @ -"
                )
        if not _USER.fullmatch(self.user):
            raise ValueError(f"user {self.user[:40]!r}: accepted is a system user's name")
        return _TEXT.format(
            description=self.description,
            user=self.user,
            home=self.home,
            command=command,
            hidden="read-only" if _under_homes(self.home, command) else "yes",
            devices="" if self.devices else "PrivateDevices=yes\n",
            capabilities=_BIND if self.low_port else "",
        )


def _under_homes(*paths: Path) -> bool:
    """Whether the daemon or its folder lies where people's homes are, which are else hidden."""
    real = {way for path in paths for way in (path, path.resolve(), Path(sys.base_prefix))}
    return any(path.is_relative_to(home) for path in real for home in _HOMES)
