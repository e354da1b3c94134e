"""Accounts of the reading room, as the site's admin keeps them."""

from __future__ import annotations

import re
from typing import cast, get_args

from client.audit import people
from client.store.reader_shelf import Account, Role
from client.store.store import SiteStore, now
from daemons.web.passwords import hashed

_NAME = re.compile(r"[a-z][a-z0-9.-]{0,40}")
ROLES: tuple[str, ...] = get_args(Role)


class AccountRefused(ValueError):
    """An account that is not made or changed, in one sentence."""


def check(name: str, role: str) -> None:
    """Refuse a name or a role that does not fit.

    Raises:
        AccountRefused: it does not.
    """
    if not _NAME.fullmatch(name):
        raise AccountRefused(
            f"the name {name!r}; accepted are 1 to 41 of a to z, 0 to 9, . and -, a letter first"
        )
    if role not in ROLES:
        raise AccountRefused(f"the role {role!r}; accepted is one of {', '.join(ROLES)}")


def check_free(store: SiteStore, name: str) -> None:
    """Refuse a name that somebody has.

    Raises:
        AccountRefused: somebody has it.
    """
    if store.readers.find(name) is not None:
        raise AccountRefused(f"{name} has an account; accepted is another name")


def add(store: SiteStore, name: str, role: str, password: str) -> None:
    """Make an account.

    Raises:
        AccountRefused: name or role do not fit, or somebody has the name.
        PasswordRefused: the password is too short.
    """
    check(name, role)
    account = Account(name, cast(Role, role), hashed(password), now())
    with store.transaction():
        if not store.readers.add(account):
            raise AccountRefused(f"{name} has an account; accepted is another name")
        people.seen(store, people.ADDED, name, words=f"role {role}")


def remove(store: SiteStore, name: str) -> None:
    """End an account; its readings stay.

    Raises:
        AccountRefused: there is none of that name.
    """
    with store.transaction():
        if not store.readers.remove(name, now()):
            raise _unknown(store, name)
        people.seen(store, people.REMOVED, name)


def set_password(store: SiteStore, name: str, password: str) -> None:
    """Give an account a new password; its sessions end.

    Raises:
        AccountRefused: there is none of that name.
        PasswordRefused: the password is too short.
    """
    kept = hashed(password)
    with store.transaction():
        if not store.readers.set_password(name, kept):
            raise _unknown(store, name)
        people.seen(store, people.PASSWORD, name)


def known(store: SiteStore, name: str) -> None:
    """Refuse a name that has no account.

    Raises:
        AccountRefused: it has none.
    """
    if store.readers.find(name) is None:
        raise _unknown(store, name)


def _unknown(store: SiteStore, name: str) -> AccountRefused:
    names = ", ".join(a.name for a in store.readers.every()) or "none"
    return AccountRefused(f"no account {name!r}; there are: {names}")
