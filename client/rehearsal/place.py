"""The home of a rehearsal: a site that has joined nothing, with cases, a study and accounts."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import tomli_w

from client import accounts
from client.audit.chain import note
from client.home import Deployment, HomeConfig, HomeError, make_home, open_store, read_config
from client.paths import HomePaths
from client.rehearsal.cases import phantom, take
from client.rehearsal.wanted import PHANTOM, Wanted
from client.sources.labels import Labels
from client.store.store import SiteStore
from daemons.ports import free_port, is_listening
from daemons.secrets import secret_folder, write_secret
from daemons.terminal import Refused
from protocol.files import replace_file
from protocol.study import Study, document, load

NAME = "rehearsal"
PEOPLE = (("ann", "reader"), ("ben", "reader"), ("cleo", "adjudicator"), ("dora", "admin"))


@dataclass(frozen=True, slots=True)
class Place:
    """Where everything of a rehearsal lies.

    Attributes:
        home: of the site; what a real one has not lies in its folder `rehearsal`.
    """

    home: Path

    @property
    def own(self) -> Path:
        """The folder of what only a rehearsal has."""
        return self.home / "rehearsal"

    @property
    def passwords(self) -> Path:
        """Names, roles and passwords of the accounts (0600): in a rehearsal they are shown."""
        return self.own / "accounts.json"

    @property
    def state(self) -> Path:
        """Which step comes next; there once everything is prepared."""
        return self.own / "state.json"

    @property
    def study(self) -> Path:
        """The study as it was made from the options."""
        return self.own / "study.toml"

    @property
    def phantom(self) -> Path:
        """The embedded phantom as a file that can be imported."""
        return self.own / "phantom.npz"

    def accounts(self) -> list[dict[str, str]]:
        """Every account made here: name, role, password."""
        found: list[dict[str, str]] = json.loads(self.passwords.read_text(encoding="utf-8"))
        return found

    @property
    def address(self) -> str:
        """host:port of the reading room."""
        return (read_config(self.home).deployment or Deployment()).room


def prepare(place: Place, wanted: Wanted, study: Study, say: Callable[[str], None]) -> None:
    """Make what is not there yet; a preparation that was cut short goes on.

    Raises:
        Refused: the folder holds another site, or another rehearsal.
        HomeError, SourceError: a source cannot be used.
    """
    _check(place, study)
    _home(place)
    labels = Labels(study.task.names, study.task.multi_label) if wanted.knows_labels else Labels()
    if not wanted.sources:
        say(f"drawing {PHANTOM}")
        phantom(place.phantom, study)
    with closing(open_store(place.home)) as store:
        for source in wanted.sources or (place.phantom,):
            say(f"importing {source}")
            take(store, place.home, source, labels, say)
        if not store.locators.next_row():
            raise HomeError("no case was taken; accepted is a source that has some")
        make_accounts(store, place.passwords)
        if not store.cases.fact("rehearsal"):
            with store.transaction():
                store.cases.set_fact("rehearsal", "yes")
                note(store, "rehearsal", words="one site alone; nothing of it leaves")
    replace_file(place.study, tomli_w.dumps(document(study)).encode(), sync=True)


def room_for_people(place: Place) -> None:
    """Choose another port where somebody else has taken the room's meanwhile."""
    host, _, port = place.address.rpartition(":")
    if is_listening(host, int(port)):
        config = read_config(place.home)
        fresh = (config.deployment or Deployment()).model_copy(
            update={"room": f"127.0.0.1:{free_port()}"}
        )
        make_home(place.home, config.model_copy(update={"deployment": fresh}))


def make_accounts(store: SiteStore, file: Path) -> None:
    """Two readers, an adjudicator and an admin, who are not there yet.

    Args:
        store: of the site.
        file: gets names, roles and passwords (0600), before they count; those in it are kept.
    """
    if not file.exists():
        made = [{"name": n, "role": r, "password": password()} for n, r in PEOPLE]
        write_secret(file, json.dumps(made, indent=1).encode())
    for account in json.loads(file.read_text(encoding="utf-8")):
        if store.readers.find(account["name"]) is None:
            accounts.add(store, account["name"], account["role"], account["password"])


def password() -> str:
    """One that can be typed from a screen: four groups of four letters."""
    letters = "abcdefghijkmnpqrstuvwxyz"
    return "-".join("".join(secrets.choice(letters) for _ in range(4)) for _ in range(4))


def _check(place: Place, study: Study) -> None:
    if HomePaths(place.home).config.exists() and not place.own.exists():
        raise Refused(
            f"{place.home} is the home of a site, and a rehearsal would mix with its studies; "
            "accepted is a new folder"
        )
    if place.study.exists() and load(place.study).identity != study.identity:
        raise Refused(
            f"{place.home} holds a rehearsal of another study; accepted are the same options "
            "or a new folder"
        )


def _home(place: Place) -> None:
    home, paths = place.home, HomePaths(place.home)
    for folder in (home, place.own):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not paths.keys.exists():
        secret_folder(paths.keys, {"site.secret": secrets.token_bytes(32)})
    if not paths.config.exists():
        # Nothing leaves this machine, so there is no patient to hide among sixteen.
        own = Deployment(room=f"127.0.0.1:{free_port()}", least_patients=1)
        make_home(home, HomeConfig(name=NAME, deployment=own))
    open_store(home).close()
    paths.database.chmod(0o600)
