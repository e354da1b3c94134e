"""Asking the server for the newest head of this site's log that it has countersigned."""

from __future__ import annotations

import asyncio

import grpc
import grpc.aio

from client.attendance.dial import channel, ending
from client.audit.gate import let_out_message
from client.audit.heads import Signed
from client.home import Deployment
from client.paths import HomePaths
from client.store.store import SiteStore
from protocol.coordination_pb2 import NewestHeadRequest, SignedHead

_CALL = "/wardround.v1.Coordination/NewestHead"


class NotAnswered(RuntimeError):
    """The server did not say its newest head; why, in words."""


def newest_head(
    store: SiteStore, paths: HomePaths, deployment: Deployment, patience: float = 15.0
) -> Signed:
    """What the server says; 0 lines where it has signed none. Not checked: `verify` does that.

    Args:
        store: where the question's own line is written.
        paths: of the home, with keys and kit.
        deployment: where the server is.
        patience: seconds.
    Raises:
        NotAnswered: no answer in time, or a refusal; or a key or certificate is missing.
    """
    try:
        said = asyncio.run(_ask(store, paths, deployment, patience))
    except OSError:
        raise NotAnswered("a key or a certificate of this site is missing") from None
    except grpc.aio.AioRpcError as error:
        raise NotAnswered(ending(error.code(), error.details() or "").words) from None
    return Signed(said.branch, said.lines, said.hash, said.at, said.signature)


async def _ask(
    store: SiteStore, paths: HomePaths, deployment: Deployment, patience: float
) -> SignedHead:
    async with channel(paths, deployment) as way:
        ask = way.unary_unary(_CALL, None, SignedHead.FromString)
        block = let_out_message(store, NewestHeadRequest())
        said: SignedHead = await ask(block, timeout=patience, wait_for_ready=False)
        return said
