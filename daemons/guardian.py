"""What outlives a supervisor that was killed: it ends the children that would be orphans."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable

_EVERY = 0.1


class Guardian:
    """A fork that holds one end of a pipe; when the other end closes, it ends the process groups.

    It keeps whatever lock the supervisor holds, so that no new daemon starts among the orphans.
    Groups enter the pipe before their first program starts: there is no moment at which a child
    runs and the guardian does not know it.
    """

    def __init__(self, patience: float) -> None:
        """Fork. No thread may have been started; patience: seconds between TERM and KILL."""
        self._patience = patience
        self._groups: set[int] = set()
        self._fork()

    def _fork(self) -> None:
        reading, self._writing = os.pipe()  # both close in any program that is started
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._writing)
            try:
                _guard(reading, self._patience)
            finally:
                os._exit(0)
        os.close(reading)

    def revive(self) -> None:
        """After the guardian itself died: another one, that knows the same groups."""
        os.close(self._writing)
        self._fork()
        self.restate()

    def enter(self) -> None:
        """Called in a child between fork and exec, as the leader of its group."""
        os.write(self._writing, f"+{os.getpid()}\n".encode())

    def know(self, group: int) -> None:
        """The child entered itself; remember it for a second guardian."""
        self._groups.add(group)

    def forget(self, group: int) -> None:
        """The group is gone, its number may become another's."""
        self._groups.discard(group)
        self.restate()

    def restate(self) -> None:
        """Tell the guardian all groups; one that entered and never became a program is left out."""
        with contextlib.suppress(BrokenPipeError):  # it is dead, and revived in a moment
            os.write(self._writing, f"={' '.join(map(str, self._groups))}\n".encode())

    def dismiss(self) -> None:
        """Nothing is left to guard; returns once the guardian has ended."""
        os.close(self._writing)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)


def _guard(reading: int, patience: float) -> None:
    """The guardian's life."""
    _step_aside()
    groups: set[int] = set()
    rest = b""
    while block := os.read(reading, 4096):  # nothing: the supervisor is gone, for whatever reason
        *lines, rest = (rest + block).split(b"\n")
        for line in lines:
            named = {int(group) for group in line[1:].split()}
            groups = named if line[:1] == b"=" else groups | named
    end_groups(groups, patience)


def _step_aside() -> None:
    """No terminal, no signal meant for the daemon, no place in a pipe that a reader waits on."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.setsid()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)
    with contextlib.suppress(OSError), open("/proc/self/comm", "w", encoding="ascii") as name:
        name.write("guardian")  # what `ps` and `top` show


def end_groups(groups: Iterable[int], patience: float) -> None:
    """End process groups: TERM, and KILL after `patience` seconds for what is left."""
    left = {group for group in groups if send(group, signal.SIGTERM)}
    deadline = time.monotonic() + patience
    while left and time.monotonic() < deadline:
        time.sleep(_EVERY)
        left = {group for group in left if lives(group)}
    for group in left:
        send(group, signal.SIGKILL)


def lives(group: int) -> bool:
    """Whether a program of the process group runs.

    The dead whom nobody asks how they ended stay in it; in a container that may be for ever.
    """
    return send(group, 0) and any(
        words[0] not in "ZX" and int(words[2]) == group for words in map(_stat, _pids())
    )


def _pids() -> list[str]:
    return [name for name in os.listdir("/proc") if name.isdigit()]


def _stat(pid: str) -> list[str]:
    """State, parent, group and more of a program; those of one that has just gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ["X", "0", "0"]


def send(group: int, number: int) -> bool:
    """Signal a process group (0 only asks); whether anything of it is there."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    except PermissionError:  # it is there, and another user's
        return True
    return True
