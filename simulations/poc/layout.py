"""Where everything of a rehearsed federation lies, all under one folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Layout:
    """The folders of a federation on one machine.

    Attributes:
        out: holds everything else.
        names: of the sites, in site order.
    """

    out: Path
    names: tuple[str, ...]

    @property
    def server(self) -> Path:
        """The server's home."""
        return self.out / "server"

    def site(self, name: str) -> Path:
        """A site's home."""
        return self.out / "sites" / name

    @property
    def study(self) -> Path:
        """The frozen study and its weights."""
        return self.out / "study"

    def truths(self, name: str) -> Path:
        """What a site's simulated readers know: outside its home, so that its daemon does not."""
        return self.out / "readers" / f"{name}.json"

    def accounts(self, name: str) -> Path:
        """Names, roles and passwords of the people who read at a site in a rehearsal."""
        return self.out / "readers" / f"{name}-accounts.json"

    @property
    def exported(self) -> Path:
        """The final model and its card."""
        return self.out / "export"

    @property
    def ready(self) -> Path:
        """A file that is there once everything is prepared; holds the sites' names."""
        return self.out / "poc.json"


def site_names(count: int) -> tuple[str, ...]:
    """The names of that many sites, as the simulation's splits name them."""
    return tuple(f"site-{number + 1:02d}" for number in range(count))
