"""The chain: edits, deletions, moves and cuts are found, and the first bad line is named."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.audit.chain import NOTHING, Entry, append, head, lines, note
from client.audit.export import exported
from client.audit.heads import Signed, genuine, hash_at, keep, kept, public_key
from client.audit.verify import Verdict, sentence, verify
from client.home import open_store
from client.store.store import SiteStore
from daemons.secrets import private_pem, public_pem, sign
from protocol.coordination import head_words

AT = "2026-01-05T08:00:00+00:00"


@pytest.fixture(scope="module")
def keys() -> tuple[bytes, bytes]:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    return private_pem(key), public_pem(key.public_key())


@pytest.fixture
def signs(keys: tuple[bytes, bytes]) -> Callable[..., Signed]:
    """The server's countersignature of a log as it stands, or stood."""

    def of(store: SiteStore, line: int, branch: int = 1, site: str = "north") -> Signed:
        told = hash_at(store, line)
        words = head_words(site, branch, line, told, AT)
        return Signed(branch, line, told, AT, sign(keys[0], words))

    return of


def write(store: SiteStore, count: int) -> None:
    for number in range(count):
        with store.transaction():
            append(store, Entry("model", "left", "Selected", "s", number, "select", size=number))


def tamper(store: SiteStore, *statements: str) -> None:
    """What somebody with the file and an editor does."""
    for name in ("changed", "deleted", "replaced"):
        store.connection.execute(f"DROP TRIGGER audit_is_never_{name}")
    for statement in statements:
        store.connection.execute(statement)


@pytest.fixture
def log(tiny_store: SiteStore) -> SiteStore:
    write(tiny_store, 8)
    return tiny_store


def test_a_line_s_hash_by_hand(tiny_store: SiteStore) -> None:
    assert head(tiny_store) == (0, NOTHING)
    with tiny_store.transaction():
        assert append(tiny_store, Entry("site", "approved", study="é", words="w"), AT) == 1
        assert note(tiny_store, "paused") == 2
    text = (
        '{"at":"2026-01-05T08:00:00+00:00","cycle":0,"digest":"","event":"approved","line":1,'
        '"plane":"site","previous":"' + "0" * 64 + '","record":"","round":0,"sequence":0,"size":0,'
        '"step":"","study":"\\u00e9","words":"w"}'
    )
    first, second = lines(tiny_store)
    assert first.hash == hashlib.sha256(text.encode()).hexdigest() == second.previous
    assert head(tiny_store) == (2, second.hash)


def test_a_line_stands_or_falls_with_its_transaction(log: SiteStore) -> None:
    with pytest.raises(RuntimeError, match="outside a transaction"):
        note(log, "paused")
    before = head(log)

    def fails() -> None:
        with log.transaction():
            note(log, "paused")
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert head(log) == before


def test_the_database_itself_refuses_changes(log: SiteStore) -> None:
    for statement in (
        "UPDATE audit SET size = 0 WHERE line = 3",
        "DELETE FROM audit WHERE line = 8",
        "INSERT OR REPLACE INTO audit SELECT * FROM audit WHERE line = 8",
    ):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            log.connection.execute(statement)
    assert verify(log, "north", None).whole


@pytest.mark.parametrize(
    ("statement", "line", "words"),
    [
        ("UPDATE audit SET size = 99 WHERE line = 5", 5, "line 5 was changed"),
        ("UPDATE audit SET words = x'00' WHERE line = 5", 5, "line 5 was changed"),
        ("DELETE FROM audit WHERE line = 4", 4, "line 4 is missing"),
        ("DELETE FROM audit WHERE line = 1", 1, "line 1 is missing"),
        ("UPDATE audit SET previous = hash WHERE line = 3", 3, "does not follow line 2"),
        ("UPDATE audit SET at = 'x', hash = 'y' WHERE line = 8", 8, "line 8 was changed"),
    ],
)
def test_what_was_changed_is_located(log: SiteStore, statement: str, line: int, words: str) -> None:
    tamper(log, statement)
    found = verify(log, "north", None)
    assert (found.broken, found.whole, found.lines >= 7) == (line, False, True)
    assert words in found.words
    assert "NOT WHOLE" in sentence(found, asked=False)[0]


def test_lines_that_changed_places_are_located(log: SiteStore) -> None:
    tamper(
        log,
        "UPDATE audit SET line = 100 WHERE line = 3",
        "UPDATE audit SET line = 3 WHERE line = 6",
        "UPDATE audit SET line = 6 WHERE line = 100",
    )
    assert verify(log, "north", None).broken == 3


def test_a_cut_end_is_found_by_what_the_server_signed(
    log: SiteStore, signs: Callable[..., Signed], keys: tuple[bytes, bytes]
) -> None:
    newest = signs(log, 8)
    with log.transaction():
        keep(log, signs(log, 5))
        keep(log, newest)
    assert verify(log, "north", keys[1]) == Verdict(8, 8)
    tamper(log, "DELETE FROM audit WHERE line > 6")
    found = verify(log, "north", keys[1])
    assert (found.broken, found.verified) == (7, 5)
    assert "has countersigned 8 lines, and there are 6" in found.words
    # whoever takes the signature away, too, is found by asking the server
    tamper_signature = "DELETE FROM countersigned WHERE lines = 8"
    log.connection.execute(tamper_signature)
    assert verify(log, "north", keys[1]) == Verdict(6, 5)
    assert verify(log, "north", keys[1], newest).broken == 7


def test_a_log_that_was_written_anew_is_not_what_the_server_signed(
    log: SiteStore, signs: Callable[..., Signed], keys: tuple[bytes, bytes], tmp_path: Path
) -> None:
    signed = signs(log, 5)
    (tmp_path / "anew").mkdir()
    other = open_store(tmp_path / "anew", durable=False)
    with other.transaction():
        note(other, "paused")
    write(other, 9)
    with pytest.raises(ValueError, match="not this log's"), other.transaction():
        keep(other, Signed(1, 5, "0" * 64, AT, b""))
    found = verify(other, "north", keys[1], Signed(1, 5, "ab" * 32, AT, signed.signature))
    assert "is not the server's" in found.words
    found = verify(other, "north", keys[1], signed)
    assert found.broken == 5
    assert "up to line 5 the log is not what the server countersigned" in found.words
    other.close()


def test_a_signature_must_be_the_server_s_and_of_this_site(
    log: SiteStore, signs: Callable[..., Signed], keys: tuple[bytes, bytes], tmp_path: Path
) -> None:
    assert genuine(signs(log, 5), "north", keys[1])
    assert not genuine(signs(log, 5), "south", keys[1])
    assert not genuine(signs(log, 5, site="south"), "north", keys[1])
    forged = Signed(1, 5, hash_at(log, 5), AT, bytes(64))
    with log.transaction():
        keep(log, forged)
        keep(log, forged)  # once
    assert kept(log) == [forged]
    assert "is not the server's" in verify(log, "north", keys[1]).words
    assert verify(log, "north", None).broken == 5  # no key here: nothing shows that it is genuine
    (tmp_path / "heads.pub").write_bytes(keys[1])
    assert public_key(tmp_path / "heads.pub") == keys[1]
    for wrong in (b"", b"no key", keys[0]):
        (tmp_path / "heads.pub").write_bytes(wrong)
        with pytest.raises(ValueError, match=r"heads\.pub: accepted is the Ed25519 key"):
            public_key(tmp_path / "heads.pub")


def test_a_restored_log_is_whole_once_the_server_has_signed_it_and_says_so(
    log: SiteStore, signs: Callable[..., Signed], keys: tuple[bytes, bytes]
) -> None:
    with log.transaction():
        keep(log, signs(log, 5))
        note(log, "restored")
        keep(log, signs(log, 9, branch=2))
    found = verify(log, "north", keys[1])
    assert found == Verdict(9, 9, restored=1)
    assert "once this log came back from an older copy" in sentence(found, asked=True)[-1]


def test_the_words_of_a_verdict() -> None:
    assert sentence(Verdict(9, 9), asked=True) == ["verified up to line 9, countersigned"]
    assert sentence(Verdict(9, 7), asked=True) == [
        "verified up to line 7, countersigned; 2 newer lines wait for the next countersignature"
    ]
    offline = sentence(Verdict(9, 7), asked=False, why="the server was not asked")
    assert offline == ["verified up to 7 of 9; the server was not asked"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SiteStore]:
    store = open_store(tmp_path_factory.mktemp("chain"), durable=False)
    write(store, 12)
    tamper(store)
    yield store
    store.close()


@pytest.mark.slow
@settings(max_examples=60)
@given(
    line=st.integers(1, 12),
    column=st.sampled_from(["at", "event", "record", "study", "step", "digest", "words", "hash"]),
    text=st.text(max_size=8),
)
def test_any_edit_anywhere_is_located(whole: SiteStore, line: int, column: str, text: str) -> None:
    text = text.encode("utf-8", "ignore").decode().replace("\0", "")
    change = f"UPDATE audit SET {column} = ? WHERE line = ?"  # noqa: S608  # our own names
    try:
        before = whole.connection.execute(
            f"SELECT {column} FROM audit WHERE line = ?",  # noqa: S608  # our own names
            (line,),
        ).fetchone()[0]
        whole.connection.execute(change, (text, line))
        assert verify(whole, "north", None).broken == (0 if before == text else line)
    finally:
        whole.connection.execute(change, (before, line))


def test_an_auditor_verifies_an_export_by_its_own_recipe(
    log: SiteStore, signs: Callable[..., Signed], keys: tuple[bytes, bytes]
) -> None:
    with log.transaction():
        keep(log, signs(log, 5))
    first, *rows = [json.loads(row) for row in exported(log, "north", keys[1])]
    assert "previous" in first["recipe"]
    assert first["heads_key"].encode() == keys[1]
    previous, hashes = "0" * 64, {}
    for row in rows[:-1]:
        assert row.pop("kind") == "line"
        assert row["previous"] == previous
        previous = row.pop("hash")
        text = json.dumps(row, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        assert hashlib.sha256(text.encode()).hexdigest() == previous
        hashes[row["line"]] = previous
    assert list(hashes) == list(range(1, 9))
    signed = rows[-1]
    assert signed["hash"] == hashes[5]
    words = "\n".join(str(v) for v in ("north", 1, 5, signed["hash"], signed["at"]))
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    key = load_pem_public_key(first["heads_key"].encode())
    key.verify(bytes.fromhex(signed["signature"]), words.encode())  # type: ignore[union-attr,call-arg]
