"""A frozen study is taken in: checked, put into its folder, written down, offered to its sites."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from daemons.terminal import Refused
from protocol.codec import CodecError, digest, unpack
from protocol.coordination_pb2 import Offer, Order
from protocol.records import GlobalState
from protocol.study import Study, StudyError, document, load
from server.home import HomeConfig, ServerPaths
from server.registry.outbox_shelf import OutboxShelf
from server.registry.registry import Registry
from server.registry.site_shelf import SiteShelf
from server.registry.study_shelf import OPEN, StudyRow, StudyShelf
from server.study_folder import StudyFolder, Submission
from strategies.chosen import check_named, check_sites, decisions


@dataclass(frozen=True, slots=True)
class Frozen:
    """A frozen study as `wardround study freeze` writes it: its two files, and what they hold."""

    study: Study
    file: bytes
    weights: bytes
    hash: str
    parameters: int


def read_frozen(folder: Path) -> Frozen:
    """The frozen study in a folder.

    Raises:
        StudyError: a file is missing or refused, or a name in it means nothing here.
    """
    for name in ("study.toml", "weights.safetensors"):
        if not (folder / name).is_file():
            raise StudyError(
                f"{folder}: there is no {name}; accepted is what `wardround study freeze` wrote"
            )
    study = load(folder / "study.toml")
    decisions(study)
    block = (folder / "weights.safetensors").read_bytes()
    try:
        arrays = unpack(GlobalState, block).arrays
    except CodecError:
        raise StudyError(
            f"{folder / 'weights.safetensors'}: not frozen weights; accepted is what "
            "`wardround study freeze` wrote"
        ) from None
    return Frozen(
        study,
        (folder / "study.toml").read_bytes(),
        block,
        digest(arrays),
        sum(array.size for array in arrays.values()),
    )


def submit(
    paths: ServerPaths,
    config: HomeConfig,
    registry: Registry,
    frozen: Frozen,
    asked: Sequence[str],
    settle: float = 3600.0,
) -> StudyRow:
    """Take the study in; its row.

    Args:
        paths: of the server's home.
        config: of the home.
        registry: of the home.
        frozen: the study.
        asked: names of the sites that are to take part; all active ones if there is none.
        settle: seconds in which absent sites may come to account after the last cycle.

    Raises:
        StudyError: its budget cannot be shared by so many sites, or not by these.
        ValueError: a name is not that of an active site, or there is none.
        Refused: the study was submitted before, or another of its name is open.
    """
    study = frozen.study
    names = _checked(registry, study, asked)
    row = StudyRow(
        study.identity, study.name, study.identity[:12], frozen.hash, config.asked_by, names
    )
    submission = Submission(sites=names, server=str(paths.home), settle=settle)
    folder = StudyFolder(paths.studies / row.folder)
    folder.write(frozen.file, frozen.weights, submission)  # large: the registry is not held for it
    with registry.transaction():
        if _checked(registry, study, asked) != names:
            raise Refused("the sites changed meanwhile; accepted is the same command again")
        StudyShelf(registry.connection).add(row)
        offer = _offer(frozen, config, len(names)).SerializeToString()
        for name in names:
            OutboxShelf(registry.connection).put(name, "offer", offer)
    return row


def _checked(registry: Registry, study: Study, asked: Sequence[str]) -> tuple[str, ...]:
    """Who takes part, if this study may be taken in now."""
    names = _participants(SiteShelf(registry.connection), asked)
    chosen = decisions(study)
    check_sites(study, chosen, len(names))
    check_named(chosen.policy, names)
    _check_new(StudyShelf(registry.connection), study)
    return names


def _participants(shelf: SiteShelf, asked: Sequence[str]) -> tuple[str, ...]:
    """The names in site order."""
    active = [site.name for site in shelf.active()]
    known = ", ".join(active) or "none has joined yet"
    if unknown := sorted(set(asked) - set(active)):
        raise ValueError(f"site {unknown[0]} is not active here; accepted are: {known}")
    if not active:
        raise ValueError("no site has joined; accepted is a study for one site or more")
    return tuple(name for name in active if name in asked or not asked)


def _check_new(shelf: StudyShelf, study: Study) -> None:
    before = shelf.get(study.identity)
    if before is not None:
        raise Refused(
            f"this study was submitted on {before.submitted} and is {before.state}; "
            "accepted is a study that differs, under a new identity"
        )
    for row in shelf.all():
        if row.name == study.name and row.state in OPEN:
            raise Refused(
                f"a study named {study.name} ({row.identity[:12]}) is {row.state}; "
                "accepted is another name, or this one once that study is stopped"
            )


def _offer(frozen: Frozen, config: HomeConfig, sites: int) -> Offer:
    return Offer(
        study=frozen.study.identity,
        document=json.dumps(document(frozen.study)),
        weights=frozen.hash,
        asked_by=config.asked_by,
        sites=sites,
        parameters=frozen.parameters,
        version=version("wardround"),
    )


def order(registry: Registry, asked: str, state: str, since: Sequence[str], kind: str) -> StudyRow:
    """Move a study to another state and tell its sites; the study's row before that.

    Args:
        registry: of the server.
        asked: the study's name, or the beginning of its identity.
        state: it goes to.
        since: states that it may come from.
        kind: of the order to its sites.

    Raises:
        ValueError: no study, or more than one, is meant.
        Refused: the study is in another state.
    """
    with registry.transaction():
        shelf = StudyShelf(registry.connection)
        row = shelf.find(asked)
        if not shelf.move(row.identity, state, since):
            raise Refused(
                f"study {row.name} is {row.state}; accepted is one that is {' or '.join(since)}"
            )
        block = Order(kind=kind, study=row.identity).SerializeToString()
        for name in row.sites:
            OutboxShelf(registry.connection).put(name, "order", block)
    return row
