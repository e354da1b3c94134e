"""One way to open any source of cases."""

from __future__ import annotations

from pathlib import Path

from client.cases.cases import Cases, CasesError
from protocol.sections import Task


def open_cases(source: str, task: Task, seed: int) -> Cases:
    """The cases of a source: the phantom, an npz file, or a CSV beside images.

    Args:
        source: "phantom", a path ending in .npz or .csv, or a folder that holds one CSV.
        seed: of the phantom; files do not depend on it.
    Raises:
        CasesError: the source is none of these, or what it holds is refused.
    """
    if source == "phantom":
        from client.cases.phantom import phantom

        if task.multi_label:
            raise CasesError(
                "phantom: a multi-label task was asked for; accepted is a single-label one"
            )
        return phantom(task.image, len(task.classes), seed)
    path = _file(Path(source))
    if path.suffix == ".npz":
        from client.cases.npz import load_npz

        return load_npz(path, task)
    from client.cases.folder import load_folder  # brings pillow

    return load_folder(path, task)


def _file(path: Path) -> Path:
    """The npz or CSV file that a path means."""
    if path.is_dir():
        found = sorted(path.glob("*.csv"))
        if len(found) != 1:
            raise CasesError(f"{path.name}: {len(found)} CSV files in this folder; accepted is one")
        return found[0]
    if path.suffix not in (".npz", ".csv"):
        raise CasesError(
            f"{path.name}: no known source of cases; accepted is phantom, an .npz file, "
            "a .csv file or a folder that holds one .csv"
        )
    if not path.is_file():
        raise CasesError(f"{path.name}: no such file")
    return path
