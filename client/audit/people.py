"""Lines of the audit log about people: who signed in, saw a case, answered one.

They stay in the building. The server countersigns the log's length and last hash, no line; and it
is told of lines like these no more often than of progress (`client/attendance/news.py`), since
their number would be a clock of somebody's work.
"""

from __future__ import annotations

import secrets

from client.audit.chain import Entry, append
from client.store.store import SiteStore

SIGNED_IN, REFUSED, SIGNED_OUT = "signed in", "sign-in refused", "signed out"
SHOWN, ANSWERED, TAKEN_BACK = "case shown", "reading kept", "reading taken back"
OPINION, COLLEAGUES = "opinion shown", "answers of readers shown"
ADDED, REMOVED, PASSWORD = "account added", "account removed", "password set"
AT_A_CASE = (SHOWN, COLLEAGUES, OPINION, ANSWERED, TAKEN_BACK)
ACCOUNTS = (ADDED, REMOVED, PASSWORD)


def seen(
    store: SiteStore,
    event: str,
    reader: str,
    *,
    study: str = "",
    cycle: int = 0,
    case: int = 0,
    words: str = "",
) -> int:
    """Log what somebody of the reading room did or saw, within the caller's transaction.

    Args:
        store: with a transaction open, the one of the act itself.
        event: one of this module's.
        reader: by account; "" where the name has none: what was typed may be a password.
        study: its identity.
        cycle: of the study.
        case: by its id in the database, never its key; 0 for none.
        words: in plain words; never what was answered.
    """
    salt = secrets.token_hex(16)
    told = Entry(
        "site", event, "", study, cycle, words=words, reader=reader, case_id=case, salt=salt
    )
    return append(store, told)
