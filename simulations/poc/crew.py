"""Who reads at the sites of a rehearsed federation, and which sites have cases of their own."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from client.home import Deployment, open_store, read_config
from client.rehearsal.cases import truths
from client.rehearsal.place import make_accounts
from protocol.study import Study
from simulations.poc.commands import call
from simulations.poc.layout import Layout

_IMPORT = 3600.0
"""Seconds that an import may take."""


@dataclass(frozen=True, slots=True)
class Crew:
    """The readers, and the cases that are not the phantom's.

    Attributes:
        people: they sign in at each site; otherwise simulated readers answer at once.
        sources: what a site imports, by its name.
    """

    people: bool = False
    sources: Mapping[str, Path] = field(default_factory=dict)

    @property
    def own(self) -> bool:
        """Whether a handful of cases must do: a site with fewer patients than usual may train."""
        return self.people or bool(self.sources)


SIMULATED = Crew()


def crew(readers: str, sources: Sequence[str], names: Sequence[str]) -> Crew:
    """What `--readers` and `--source SITE=PATH` ask for.

    Raises:
        ValueError: another word, a site that there is not, one named twice, or nothing there.
    """
    if readers not in ("people", "simulated"):
        raise ValueError(f"--readers {readers!r}: accepted is people or simulated")
    found: dict[str, Path] = {}
    for word in sources:
        name, sign, path = word.partition("=")
        if not sign or name not in names or name in found:
            raise ValueError(
                f"--source {word!r}: accepted is SITE=PATH, once for each of {', '.join(names)}"
            )
        if not Path(path).exists():
            raise ValueError(f"--source {word!r}: there is no such file or folder")
        found[name] = Path(path).absolute()
    return Crew(readers == "people", found)


def import_cases(layout: Layout, study: Study, name: str, crew: Crew) -> None:
    """Import a site's own cases by its command; what is true of them goes to simulated readers.

    Raises:
        CommandFailed: the source cannot be used.
        StudyError: simulated readers were asked for, and the source knows no labels.
    """
    home, source = layout.site(name), crew.sources[name]
    call("wardround-site", "import", str(source), home=home, timeout=_IMPORT)
    if not crew.people:
        known = truths(home, [source], study)
        layout.truths(name).parent.mkdir(parents=True, exist_ok=True)
        layout.truths(name).write_text(json.dumps(known), encoding="utf-8")


def accounts(layout: Layout, name: str) -> None:
    """Two readers, an adjudicator and an admin at a site; their passwords are in a file (0600)."""
    file = layout.accounts(name)
    file.parent.mkdir(parents=True, exist_ok=True)
    with closing(open_store(layout.site(name))) as store:
        make_accounts(store, file)


def invite(layout: Layout, say: Callable[[str], None]) -> None:
    """Say where each site's reading room is and who may sign in there."""
    for name in layout.names:
        deployment = read_config(layout.site(name)).deployment or Deployment()
        say(f"{name}: the reading room is http://{deployment.room}")
        for one in json.loads(layout.accounts(name).read_text(encoding="utf-8")):
            say(f"  {one['name']:<5} {one['role']:<12} {one['password']}")
