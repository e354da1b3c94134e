"""Whether a machine is fit for a daemon: disk, memory, files, databases, certificates, ports."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from daemons.ports import is_listening, near
from daemons.preflight import Found, fail, ok, warn
from daemons.status import read_status

_GB = 10**9


def check_disk(folder: Path, least: float, enough: float) -> Found:
    """Whether the folder's disk has room; limits in GB."""
    free = shutil.disk_usage(folder).free / _GB
    found = f"{free:.1f} GB free"
    if free >= enough:
        return ok(found)
    mend = f"free some space on the disk of {folder}, or enlarge it: {enough:g} GB are enough"
    return warn(found, mend) if free >= least else fail(found, mend)


def check_memory(least: float, enough: float) -> Found:
    """Whether programs can have memory now; limits in GB."""
    rows = dict(line.split(":") for line in Path("/proc/meminfo").read_text("ascii").splitlines())
    free = int(rows["MemAvailable"].split()[0]) * 1024 / _GB
    found = f"{free:.1f} GB available"
    if free >= enough:
        return ok(found)
    mend = f"stop other programs or give this machine more memory: {enough:g} GB are enough"
    return warn(found, mend) if free >= least else fail(found, mend)


def check_installed(wanted: str) -> Found:
    """Whether a distribution is installed in the version that ours was tested with."""
    from importlib.metadata import PackageNotFoundError, requires, version

    mend = "install wardround anew in an environment of its own"
    try:
        have, ours, asked = version(wanted), version("wardround"), requires("wardround") or []
    except PackageNotFoundError as missing:
        return fail(f"{missing.name} is not installed", mend)
    pins = [one.removeprefix(f"{wanted}==") for one in asked if one.startswith(f"{wanted}==")]
    if pins and have not in pins:
        return fail(f"{wanted} {have} is installed, wardround {ours} asks for {pins[0]}", mend)
    return ok(f"wardround {ours}, {wanted} {have}, Python {sys.version.split()[0]}")


def check_commands(names: Iterable[str]) -> Found:
    """Whether the commands stand beside this Python, where the daemon looks for them."""
    folder = Path(sys.executable).parent
    missing = [name for name in names if not os.access(folder / name, os.X_OK)]
    if missing:
        mend = "install wardround anew in an environment of its own"
        return fail(f"{', '.join(missing)} missing in {folder}", mend)
    return ok(f"all in {folder}")


def check_database(path: Path, known: int | None = None, restore: str = "") -> Found:
    """Whether a SQLite database is whole, and not from a newer wardround.

    Args:
        path: of the database; one that is not there yet is well.
        known: newest schema of this code; None where the schema is not ours.
        restore: what to do about one that is broken.
    """
    if not path.exists():
        return ok("not there yet")
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as database:
            said = str(database.execute("PRAGMA quick_check(1)").fetchone()[0])
            schema = int(database.execute("PRAGMA user_version").fetchone()[0])
    except sqlite3.OperationalError:
        return fail(f"{path.name} cannot be opened", f"see who may read {path}, and who holds it")
    except sqlite3.DatabaseError:
        said, schema = "not a database", 0
    if said != "ok":
        mend = restore or "stop the daemon and restore the home from the newest backup"
        return fail(f"{path.name} is damaged", mend)
    if known is not None and schema > known:
        mend = "install the wardround that was here before, or a newer one"
        return fail(f"{path.name} was written by a newer wardround (schema {schema})", mend)
    return ok(f"{path.name} is whole")


def check_certificates(files: Sequence[Path], soon: int, renew: str) -> Found:
    """Whether certificates are there and last; `renew` says how to get new ones."""
    from daemons.certificates import CertificateError, days_left

    left = {}
    for file in files:
        try:
            left[file.name] = days_left(file)
        except CertificateError:
            return fail(f"{file.name} is missing or broken", renew)
    name, days = min(left.items(), key=lambda item: item[1])
    if days < 0:
        return fail(f"{name} expired {-days} days ago", renew)
    found = ", ".join(f"{one} {n} days" for one, n in left.items())
    return ok(found) if days >= soon else warn(f"{name} ends in {days} days", renew)


def check_revocations(file: Path, renew: str, at: datetime | None = None) -> Found:
    """Whether a revocation list is valid: nginx turns everybody away when it is not."""
    from cryptography import x509

    try:
        until = x509.load_pem_x509_crl(file.read_bytes()).next_update_utc
    except (OSError, ValueError):
        return fail(f"{file.name} is missing or broken", renew)
    if until is None:
        return ok(f"{file.name} has no end")
    days = (until - (at or datetime.now(UTC))).days
    if days < 0:
        return fail(f"{file.name} ended {-days} days ago, so every site is refused", renew)
    found = f"{file.name} lasts {days} days"
    return ok(found) if days >= 30 else warn(found, renew)


def check_private(folder: Path) -> Found:
    """Whether a folder of keys is ours and closed to everyone else."""
    open_ones = []
    for path in [folder, *sorted(folder.iterdir())]:
        found = path.stat()
        secret = path == folder or path.suffix not in (".crt", ".pub", ".crl")
        if found.st_uid != os.geteuid():
            mend = f"run this as the owner of {folder}, or give it to the daemon's user"
            return fail(f"{path.name} belongs to another user", mend)
        if secret and stat.S_IMODE(found.st_mode) & 0o077:
            open_ones.append(path.name)
    if open_ones:
        mend = f"chmod 700 {folder} and chmod 600 what is in it"
        return fail(f"{', '.join(open_ones)} can be read by others", mend)
    return ok(f"{folder.name} is closed to other users")


def check_own_port(run: Path, host: str, port: int, setting: str) -> Found:
    """Whether a port that the daemon listens on is free, or taken by the daemon itself.

    Args:
        run: the daemon's run folder.
        host: address to listen on.
        port: to listen on.
        setting: that names the port.
    """
    where = f"{host}:{port}"
    if read_status(run).state == "running":
        listening = is_listening(near(host), port)
        return ok(f"{where} is the running daemon's") if listening else _silent(where)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            probe.listen()
    except PermissionError:
        mend = "give the unit AmbientCapabilities=CAP_NET_BIND_SERVICE (see the command systemd)"
        return fail(f"this user may not listen on {where}", mend)
    except OSError as error:
        mend = f"end the program that has it, or set {setting} to another one"
        return fail(f"{where} cannot be had ({error.strerror})", mend)
    return ok(f"{where} is free")


def _silent(where: str) -> Found:
    return warn(f"nothing listens on {where}, and the daemon runs", "look at the daemon's status")


def check_synchronised() -> Found:
    """Whether this machine keeps its clock by the network's, as far as it tells."""
    mend = "switch on time synchronisation: systemd-timesyncd or chrony"
    command = shutil.which("timedatectl")
    if command is None:
        return warn("nothing here tells whether the clock is kept", mend)
    done = subprocess.run(  # noqa: S603 - our own words
        [command, "show", "--property", "NTPSynchronized", "--value"],
        capture_output=True,
        text=True,
        check=False,
        timeout=10,
    )
    said = done.stdout.strip()
    return ok("the clock is kept by the network") if said == "yes" else warn(_kept(said), mend)


def _kept(said: str) -> str:
    no = "the clock is not kept by the network"
    return no if said == "no" else "nothing here tells whether the clock is kept"
