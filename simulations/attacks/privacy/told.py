"""What attacks on privacy found, as tables that a report keeps."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from simulations.results.page import Table, Titled

if TYPE_CHECKING:
    from simulations.attacks.privacy.bounds import Found
    from simulations.attacks.privacy.membership import Membership
    from simulations.attacks.privacy.reconstruction import Line

_FOLDER = "attacks"


def of_reconstruction(lines: Iterable[Line]) -> Titled:
    """How like the found images are to the true ones."""
    head = ("what the server does and sees", "images", "similarity", "best",
            "of the nearest other image", "shown")  # fmt: skip
    rows = tuple(
        (x.attack, str(x.images), f"{x.found:.2f}", f"{x.best:.2f}", f"{x.nearest:.2f}",
         f"{x.shown} of {x.images}")
        for x in lines
    )  # fmt: skip
    title = "Images from updates: structural similarity; shown is what is nearer than any other"
    return Titled(title, Table(head, rows))


def of_membership(found: Sequence[tuple[str, int, Membership]]) -> Titled:
    """How well a run's last model tells its training cases from others of their pools."""
    head = ("arm", "seed", "members", "others", "AUROC", "hits at 5 % false alarms")
    rows = tuple(
        (arm, str(seed), str(m.members), str(m.others), f"{m.auc:.3f}", f"{m.hits:.0%}")
        for arm, seed, m in found
    )
    return Titled(
        "Membership in a run's last model, from losses; a coin has 0.5", Table(head, rows)
    )


def of_audit(found: Sequence[tuple[str, Found]]) -> Titled:
    """What canaries say of the account."""
    head = ("what", "epsilon by the account", "95 % lower bound", "guessed right", "the account")
    rows = tuple(
        (what, f"{f.claimed:.2f}", f"{max(f.gaussian, f.general):.2f}",
         f"{f.right} of {f.canaries}", "holds" if f.holds else "is refuted")
        for what, f in found
    )  # fmt: skip
    return Titled("Canaries against the privacy account", Table(head, rows))


def keep(out: Path, name: str, told: Titled) -> Path:
    """Lay a table beside a simulation's runs, where the report finds it."""
    path = out / _FOLDER / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    content = {"format": 1, "title": told.title, "head": told.table.head, "rows": told.table.rows}
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return path


def kept(outs: Iterable[Path]) -> Iterator[Titled]:
    """The tables beside these simulations."""
    for out in outs:
        for path in sorted((out / _FOLDER).glob("*.json")):
            content = json.loads(path.read_text(encoding="utf-8"))
            rows = tuple(tuple(row) for row in content["rows"])
            yield Titled(content["title"], Table(tuple(content["head"]), rows))
