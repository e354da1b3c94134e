"""What failed at simulated sites, for the person at the terminal: their logs hold every word."""

from __future__ import annotations

from pathlib import Path

_LOG = "site.log"


class Logs:
    """The logs of a run's sites, as they were when it began."""

    def __init__(self, sites: Path) -> None:
        """Remember how long each log is.

        Args:
            sites: the folder of the sites' homes; it need not be there yet.
        """
        self._sites = sites
        self._sizes = {log: log.stat().st_size for log in sites.glob(f"*/{_LOG}")}

    def told(self) -> str:
        """What the first of the sites that failed since then has last noted; empty where none has.

        One sentence with the step, the error and its place, and the log that holds the whole stack.
        """
        found = [
            (log, last)
            for log in sorted(self._sites.glob(f"*/{_LOG}"))
            if (last := self._last(log))
        ]
        if not found:
            return ""
        log, last = found[0]
        others = f", and {len(found) - 1} more" if len(found) > 1 else ""
        return f"{log.parent.name}{others}: {last}; the whole stack is in {log}"

    def _last(self, log: Path) -> str:
        """The first line of the last failure noted since; empty where none is."""
        content = log.read_bytes()
        known = self._sizes.get(log, 0)
        fresh = content[known if known <= len(content) else 0 :].decode("utf-8", "replace")
        heads = [x for x in fresh.splitlines() if x.startswith("step ") and " failed: " in x]
        return heads[-1] if heads else ""
