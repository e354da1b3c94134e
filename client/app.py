"""The Flower ClientApp: thin functions that turn a message into a step and an error into a code."""

from __future__ import annotations

import sysconfig
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from flwr.app import Context, Message
from flwr.clientapp import ClientApp
from flwr.common.secure_aggregation.secaggplus_constants import RECORD_KEY_CONFIGS

from client.audit.gate import IDENTITY, NO_STEP, HeldBack, refuse
from client.privacy.chance import rehearsal
from client.site import Site
from client.store.step_shelf import StepRefused
from daemons.logs import trim
from protocol.codec import CodecError
from protocol.records import StepKey
from protocol.steps import MESSAGE_TYPES, Code, Refusal, Reply, StepRequest
from protocol.wire import from_wire, to_wire

OpenSite = Callable[[Context], Site]
OnMessage = Callable[[Message, Context], Message]
_LONGEST = 2**20  # bytes of site.log before it is put aside
_OURS = ("protocol", "strategies", "client")


class SiteApp(ClientApp):
    """A ClientApp that answers messages of unknown types with a code, too."""

    unknown: OnMessage

    def __call__(self, message: Message, context: Context) -> Message:
        """The reply, whatever came."""
        if message.metadata.message_type not in MESSAGE_TYPES.values():
            return self.unknown(message, context)
        return super().__call__(message, context)


def build(open_site: OpenSite) -> ClientApp:
    """A ClientApp for the sites that `open_site` finds; it is asked anew for every message."""
    app = SiteApp()
    app.unknown = _on_message("", open_site)
    for name in ("hello", "report", "cluster", "select", "close", "compare"):
        app.query(name)(_on_message(name, open_site))
    app.train()(_on_train(open_site))
    app.evaluate()(_on_message("evaluate", open_site))
    return app


def _on_message(step: str, open_site: OpenSite) -> OnMessage:
    def on_message(message: Message, context: Context) -> Message:
        return Message(to_wire(_reply(step, message, context, open_site)), reply_to=message)

    return on_message


def _on_train(open_site: OpenSite) -> OnMessage:
    plain = _on_message("train", open_site)

    def on_train(message: Message, context: Context) -> Message:
        if RECORD_KEY_CONFIGS not in message.content:
            return plain(message, context)
        return _masked(message, context, open_site)

    return on_train


def _masked(message: Message, context: Context, open_site: OpenSite) -> Message:
    """A reply under SecAgg+; of a refusal only the code leaves, and it has its line."""
    from client.secagg import answer_masked, refused
    from protocol.secagg import key_of

    key, words = NO_STEP, ""
    try:
        site = open_site(context)
    except Exception as error:
        _keep(Path(str(context.node_config.get("site-home"))), "train", error)
        return refused(message, Code.FAILED)
    try:
        key = key_of(message.metadata.group_id)
        return answer_masked(site, message, context)
    except StepRefused as no:
        code, words = no.code, str(no) if isinstance(no, HeldBack) else ""
    except CodecError:
        code = Code.BAD_REQUEST
    except Exception as error:
        _keep(site.home, "train", error, rehearsal(site))
        code = Code.FAILED
    _refused(site, key, code, words)
    return refused(message, code)


def _reply(step: str, message: Message, context: Context, open_site: OpenSite) -> Reply:
    """The step's reply, its line in the audit log; nothing is raised, and no words leave."""
    try:
        site = open_site(context)
    except Exception as error:
        _keep(Path(str(context.node_config.get("site-home"))), step, error)
        return Refusal(Code.FAILED)
    return answer_to(site, step, lambda: from_wire(message.content, StepRequest))


def answer_to(site: Site, step: str, read: Callable[[], StepRequest]) -> Reply:
    """The reply to a request, as `_reply`.

    Args:
        site: opened.
        step: that the message's type names; "" for an unknown one.
        read: the request; what it raises is answered, too.
    """
    key, words = NO_STEP, ""
    try:
        request = read()
        if not IDENTITY.fullmatch(request.key.study):  # no text of the server's goes any further
            return _refused(site, key, Code.NOT_APPROVED)
        key = request.key
        if key.step != step:
            return _refused(site, key, Code.BAD_REQUEST)
        from client.dispatch import answer  # torch comes with it, and a refusal needs none

        return answer(site, request)
    except StepRefused as refused:
        code, words = refused.code, str(refused) if isinstance(refused, HeldBack) else ""
    except CodecError:
        code = Code.BAD_REQUEST
    except Exception as error:  # an exception's text may name a patient: it must not leave
        _keep(site.home, step, error, rehearsal(site))
        code = Code.FAILED
    return _refused(site, key, code, words)


def _refused(site: Site, key: StepKey, code: Code, words: str = "") -> Refusal:
    """The refusal, with its line; where none can be written, a code that says no more."""
    try:
        return refuse(site.store, key, code, words)
    except Exception as error:  # a full disk: Flower would send its own error, and tell more
        step = key.step if key.step in MESSAGE_TYPES else ""
        _keep(site.home, step, error, rehearsal(site))
        return Refusal(Code.FAILED)


def _keep(home: Path, step: str, error: Exception, simulated: bool = False) -> None:
    with suppress(OSError):  # a full disk must not make words of the error leave
        log_failure(home, step or "of an unknown kind", error, simulated)


def log_failure(home: Path, step: str, error: Exception, simulated: bool = False) -> None:
    """Append the error to the site's own log: its stack, and its words only where they are ours.

    Messages of other libraries may hold file names, and file names hold patients' names. A
    simulated site has neither: its log holds every word and the whole stack, and the first line
    says where it was raised.
    """
    frames = traceback.extract_tb(error.__traceback__)
    ours = bool(frames) and not _foreign(frames[-1].filename)
    words = f": {' '.join(str(error).split()) if simulated else error}" if ours or simulated else ""
    lines = [f"  {Path(f.filename).name}:{f.lineno} {f.name}" for f in frames]
    if simulated:
        words += _place(frames)
        lines = "".join(traceback.format_exception(error)).splitlines()
    file = home / "site.log"
    trim(file, _LONGEST)
    with file.open("a", encoding="utf-8", errors="backslashreplace") as log:
        log.write("\n".join([f"step {step} failed: {type(error).__name__}{words}", *lines, ""]))


def _place(frames: Sequence[traceback.FrameSummary]) -> str:
    """Where code that is neither ours nor a library's raised it, or called what did; else empty."""
    libraries = [Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib", "platlib")]
    for frame in reversed(frames):
        parents = Path(frame.filename).resolve().parents
        if _foreign(frame.filename) and not any(folder in parents for folder in libraries):
            return f" ({Path(frame.filename).name}:{frame.lineno})"
    return ""


def _foreign(filename: str) -> bool:
    root = Path(__file__).resolve().parent.parent
    return not any((root / package) in Path(filename).resolve().parents for package in _OURS)


def site_of_node(context: Context) -> Site:
    """The site whose home the SuperNode's configuration names."""
    from client.opening import open_home

    return open_home(Path(str(context.node_config["site-home"])))


app = build(site_of_node)
