"""What the coordinator's machine is checked for before its daemon starts."""

from __future__ import annotations

import socket
from functools import partial
from pathlib import Path

from daemons import checks_host as host
from daemons.joining import split_address
from daemons.preflight import Check, Found, Probe, fail, ok, run_probes
from server.flower import nginx
from server.home import HomeConfig, ServerPaths, read_config
from server.registry.schema import MIGRATIONS

_CERTIFY = "wardround-server certify; a running daemon takes it up itself"
_ANEW = "restore the home's pki folder from a backup (see docs/operations.md)"
_COMMANDS = ("flower-superlink", "flower-superexec", "flwr-serverapp", "flwr")


def preflight(home: Path) -> tuple[Check, ...]:
    """All checks of a server.

    Raises:
        HomeError: there is no server's home.
    """
    config, paths = read_config(home), ServerPaths(home)
    return run_probes([*_machine(paths), *_certificates(paths), *_ports(paths, config)])


def _machine(paths: ServerPaths) -> list[Probe]:
    state = paths.flower / "state.db"
    registry = partial(host.check_database, paths.registry, len(MIGRATIONS))
    return [
        Probe("installed", lambda: host.check_installed("flwr")),
        Probe("commands", lambda: host.check_commands(_COMMANDS)),
        Probe("disk", lambda: host.check_disk(paths.home, 2, 20)),
        Probe("memory", lambda: host.check_memory(1, 3)),
        Probe("keys", lambda: host.check_private(paths.pki)),
        Probe("registry", registry),
        Probe("flower-state", lambda: host.check_database(state)),
        Probe("clock-kept", host.check_synchronised),
    ]


def _certificates(paths: ServerPaths) -> list[Probe]:
    own = [paths.pki / "server.crt"]
    lasting = ("server-ca.crt", "site-ca.crt", "loop-ca.crt", "loop.crt")
    authorities = [paths.pki / name for name in lasting]
    revoked = paths.pki / "site.crl"
    return [
        Probe("certificates", lambda: host.check_certificates(own, 30, _CERTIFY)),
        Probe("authorities", lambda: host.check_certificates(authorities, 400, _ANEW)),
        Probe("revocations", lambda: host.check_revocations(revoked, _ANEW)),
    ]


def _ports(paths: ServerPaths, config: HomeConfig) -> list[Probe]:
    listen, dashboard = split_address(config.listen), split_address(config.dashboard)
    mine = partial(host.check_own_port, paths.run)
    return [
        Probe("address", lambda: check_address(config)),
        Probe("certificate-name", lambda: check_certified(paths, config)),
        Probe("listen", lambda: mine(*listen, "listen")),
        Probe("superlink-port", lambda: mine("127.0.0.1", config.superlink_port, "superlink_port")),
        Probe("dashboard-port", lambda: mine(*dashboard, "dashboard")),
        Probe("nginx", check_nginx),
        Probe("nginx-configuration", lambda: check_configuration(paths, config), needs=("nginx",)),
    ]


def check_address(config: HomeConfig) -> Found:
    """Whether the name that sites dial is known here; elsewhere it may be another's."""
    name, port = split_address(config.address)
    try:
        found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    except OSError:
        mend = "have it entered in the DNS that the hospitals use, or correct address"
        return fail(f"the name {name} that sites dial is not known here", mend)
    return ok(f"{name} is {', '.join(sorted({str(entry[4][0]) for entry in found}))}")


def check_certified(paths: ServerPaths, config: HomeConfig) -> Found:
    """Whether the server's certificate is for the name that sites dial, and signed as kits say."""
    from datetime import UTC, datetime

    from cryptography import x509

    from daemons.certificates import CertificateError, check_issued, read_certificate

    name, _ = split_address(config.address)
    mend = f"wardround-server certify --address {config.address}"
    try:
        shown = read_certificate((paths.pki / "server.crt").read_bytes())
        authority = read_certificate((paths.pki / "server-ca.crt").read_bytes())
        check_issued(shown, authority, datetime.now(UTC))
        names = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (CertificateError, OSError, x509.ExtensionNotFound):
        return fail("server.crt is not signed by server-ca.crt, or not valid now", mend)
    if name not in [str(one.value) for one in names]:
        return fail(f"server.crt is not for {name}, which sites dial", mend)
    return ok(f"server.crt is for {name}")


def check_nginx() -> Found:
    """Whether nginx is installed."""
    try:
        return ok(nginx.command()[0])
    except ValueError:
        return fail("nginx is not installed", "apt install nginx-light, and disable its own unit")


def check_configuration(paths: ServerPaths, config: HomeConfig) -> Found:
    """Whether nginx takes what the daemon will start it with; writes that into the run folder."""
    paths.run.mkdir(mode=0o700, exist_ok=True)
    nginx.write_configuration(paths.home, config)
    if nginx.accepted(paths.home):
        return ok("nginx accepts run/nginx.conf and the certificates")
    mend = f"cd {paths.home} && {' '.join(nginx.command())} -t says what it does not accept"
    return fail("nginx does not accept run/nginx.conf or the certificates", mend)
