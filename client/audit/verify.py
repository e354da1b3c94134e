"""Whether the audit log is whole: the chain, and everything that the server has countersigned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from client.audit.chain import NOTHING, Line, hashed, lines
from client.audit.heads import Signed, genuine, kept
from client.store.store import SiteStore


@dataclass(frozen=True, slots=True)
class Verdict:
    """What verifying found.

    Attributes:
        lines: in the log.
        verified: up to this line the server's countersignatures say the same as the chain.
        broken: the first bad line; 0 where the log is whole.
        words: what is wrong with it, or "".
        restored: how often the log came back from an older copy, as it or the server noticed.
    """

    lines: int
    verified: int
    broken: int = 0
    words: str = ""
    restored: int = 0

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong."""
        return not self.broken


def verify(
    store: SiteStore,
    site: str,
    key: bytes | None,
    newest: Signed | None = None,
) -> Verdict:
    """Walk the chain, and hold it against every countersignature.

    Args:
        store: of the site.
        site: its name, which the server signs with the head.
        key: the server's (Ed25519, PEM), from the kit; None in a home without one.
        newest: what the server says now is the newest head that it has signed, if it was asked.
    """
    store.connection.execute("BEGIN")  # one view of lines and signatures, whoever writes meanwhile
    try:
        walked = _walk(store)
        signed = kept(store)
    finally:
        store.connection.execute("ROLLBACK")
    if newest is not None and newest.lines:
        signed.append(newest)
    restored = max(walked.restored, *(s.branch - 1 for s in signed), 0)
    checks = [walked.broken, *(_against(s, walked, site, key) for s in signed)]
    found = [bad for bad in checks if bad is not None]
    agreed = max((s.lines for s in signed if _agrees(s, walked)), default=0)
    if not found:
        return Verdict(walked.count, agreed, restored=restored)
    line, words = min(found)
    return Verdict(walked.count, min(agreed, line - 1), line, words, restored)


_Bad = tuple[int, str]


@dataclass(frozen=True, slots=True)
class _Walked:
    count: int
    hashes: Mapping[int, str]
    broken: _Bad | None
    restored: int


def _walk(store: SiteStore) -> _Walked:
    """The hashes that follow from what the lines tell, up to the first that does not follow."""
    hashes, previous, count = {0: NOTHING}, NOTHING, 0
    broken: _Bad | None = None
    restored = 0
    for line in lines(store):
        count += 1
        restored += line.entry.event == "restored"
        broken = broken or _wrong(line, count, previous)
        if broken is None:
            hashes[count] = previous = line.hash
    return _Walked(count, hashes, broken, restored)


def _wrong(line: Line, number: int, previous: str) -> _Bad | None:
    if line.line != number:
        return number, f"line {number} is missing: line {line.line} stands in its place"
    if line.previous != previous:
        return number, f"line {number} does not follow line {number - 1}"
    try:
        fits = hashed(line) == line.hash
    except (TypeError, ValueError):  # a value of a type that no line of ours holds
        fits = False
    return None if fits else (number, f"line {number} was changed")


def _agrees(signed: Signed, walked: _Walked) -> bool:
    return walked.hashes.get(signed.lines) == signed.hash


def _against(signed: Signed, walked: _Walked, site: str, key: bytes | None) -> _Bad | None:
    """What a countersignature says is wrong; the chain's own first break is told before."""
    number = min(signed.lines, walked.count + 1)
    if key is None or not genuine(signed, site, key):
        return number, f"the countersignature of {signed.lines} lines is not the server's"
    if signed.lines > walked.count:
        return (
            walked.count + 1,
            f"the server has countersigned {signed.lines} lines, and there are {walked.count}",
        )
    if walked.broken is None and not _agrees(signed, walked):
        return number, f"up to line {signed.lines} the log is not what the server countersigned"
    return None


def sentence(verdict: Verdict, asked: bool, why: str = "") -> Sequence[str]:
    """The verdict for a person, one sentence a line.

    Args:
        verdict: of `verify`.
        asked: the server was asked for its newest head.
        why: it was not, or did not answer.
    """
    told = []
    if not verdict.whole:
        told.append(f"NOT WHOLE: {verdict.words}")
        told.append(f"{verdict.verified} of {verdict.lines} lines are countersigned and as signed")
    elif asked:
        rest = verdict.lines - verdict.verified
        more = f"; {rest} newer lines wait for the next countersignature" if rest else ""
        told.append(f"verified up to line {verdict.verified}, countersigned{more}")
    else:
        told.append(f"verified up to {verdict.verified} of {verdict.lines}; {why}")
    if verdict.restored:
        times = "once" if verdict.restored == 1 else f"{verdict.restored} times"
        told.append(f"{times} this log came back from an older copy; the lines since are lost here")
    return told
