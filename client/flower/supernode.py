"""The site's SuperNode: Flower's own, in this process, guarded. `python -m client.flower.supernode`

It ends when it can no longer hear the server, with any exit code; the daemon starts it anew.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from contextlib import closing, suppress
from importlib import import_module
from pathlib import Path
from sqlite3 import Error as DatabaseError
from typing import TYPE_CHECKING, Any

from client.flower.environment import enter
from client.home import Deployment, HomeError, deployed, open_store, read_config
from client.paths import HomePaths

if TYPE_CHECKING:
    from flwr.supernode.cli.flower_supernode import SuperNodeLifespanConfig

REFUSED = "a FAB that is not ours"


def run(home: Path) -> int:
    """Be a SuperNode until told to stop, or until deaf; the exit code of the latter, 1.

    Raises:
        HomeError: the site has joined no federation, or its key is not one.
    """
    paths, deployment = HomePaths(home), deployed(read_config(home))
    enter(paths)
    paths.run.mkdir(exist_ok=True)
    paths.flower.mkdir(exist_ok=True)
    from client.flower.fleet import Fleet, fleet_http
    from client.flower.guards import install

    install(Fleet(lambda: fleet_http(paths, deployment)), lambda: note_refusal(home))
    cli: Any = import_module("flwr.supernode.cli.flower_supernode")
    config = configured(paths, deployment)
    cli._parse_supernode_lifespan_config = lambda: config
    sys.argv = ["flower-supernode"]
    cli.flower_supernode()  # comes back when its loop has broken, with threads still alive
    return 1


def configured(paths: HomePaths, deployment: Deployment) -> SuperNodeLifespanConfig:
    """What flwr reads from its command line otherwise: process isolation, loopback, a secret."""
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_ssh_private_key
    from flwr.supernode.cli.flower_supernode import SuperNodeLifespanConfig

    from client.flower.guards import OURS

    key = load_ssh_private_key((paths.keys / "node").read_bytes(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise HomeError("keys/node is no key for a SuperNode; accepted is the one of init")
    return SuperNodeLifespanConfig(
        server_address=deployment.server,
        root_certificates=(paths.kit / "server-ca.crt").read_bytes(),
        insecure=False,
        authentication_keys=(key, key.public_key()),
        max_retries=None,
        max_wait_time=None,
        node_config={"site-home": str(paths.home.resolve())},
        isolation="process",
        runtime_certificates=None,
        runtime_root_certificates_path=None,
        health_server_address=None,
        trusted_entities=OURS,
        superexec_auth_secret=(paths.keys / "runtime.secret").read_bytes(),
        runtime_dependency_install=False,
        host="127.0.0.1",
        port=deployment.runtime_port,
        runtime_ssl_certfile=None,
        runtime_ssl_keyfile=None,
    )


def note_refusal(home: Path) -> None:
    """Tell the audit log; a database that is busy or full does not undo the refusal."""
    from client.audit.chain import Entry
    from client.audit.summed import repeated

    with (
        suppress(DatabaseError, OSError),
        closing(open_store(home)) as store,
        store.transaction(),
    ):
        repeated(store, Entry(plane="model", event="refused", record="Fab", words=REFUSED))


def main() -> None:
    """The program."""
    parser = argparse.ArgumentParser(prog="supernode")
    parser.add_argument("--home", type=Path, required=True)
    try:
        code = run(parser.parse_args().home)
    except HomeError as error:
        print(f"supernode: {error}", file=sys.stderr)
        sys.exit(2)
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # threads of the Runtime API would keep a deaf SuperNode alive


if __name__ == "__main__":
    main()
