"""Cases from an `.npz` with MedMNIST's keys, read without pickle."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from client.cases.cases import Cases, CasesError, Split, admit
from protocol.sections import Task

Content: TypeAlias = Mapping[str, NDArray[Any]]

FILE_SPLITS: Mapping[str, Split] = {"train": "pool", "val": "val", "test": "test"}
GROUPS = ("patient", "image_id")
_OPTIONAL = (*GROUPS, "site")


def load_npz(path: Path, task: Task) -> Cases:
    """The cases of an `.npz` with MedMNIST's keys; its training split is the pool.

    Keys: `{train,val,test}_images`, uint8 (n, height, width) or (n, height, width, 3);
    `{train,val,test}_labels`, integers, (n, 1) class numbers or, in a multi-label task,
    (n, classes) of 0 and 1. Optional, for all three splits or for none: `{split}_patient`, or
    where there is none `{split}_image_id`, which names the group that must stay together, and
    `{split}_site`. Images are never resized here. A gray file serves a study of three channels
    (repeated); a colour file does not serve a gray study.

    Raises:
        CasesError: the file is not that, in one sentence.
    """
    content = _read(path)
    parts = {name: _split(content, name, task, path.name) for name in FILE_SPLITS}
    lengths = {name: len(images) for name, (images, _) in parts.items()}
    keys = tuple(f"{name}-{i:06d}" for name, n in lengths.items() for i in range(n))
    patients = None
    for group in GROUPS:
        patients = patients or _column(content, group, lengths, path.name)
    cases = Cases(
        keys=keys,
        patients=patients or keys,
        clustered=patients is not None,
        splits=tuple(FILE_SPLITS[name] for name, n in lengths.items() for _ in range(n)),
        sites=_column(content, "site", lengths, path.name),
        targets=np.concatenate([targets for _, targets in parts.values()]),
        images=np.concatenate([images for images, _ in parts.values()]),
    )
    return admit(cases, path.name)


def _read(path: Path) -> Content:
    """The arrays of the file that a study needs, all decompressed."""
    wanted = [f"{s}_{w}" for s in FILE_SPLITS for w in ("images", "labels", *_OPTIONAL)]
    key = "the file"
    try:
        with zipfile.ZipFile(path) as archive:
            members = set(archive.namelist())
        with np.load(path, allow_pickle=False) as file:
            content: dict[str, NDArray[Any]] = {}
            for key in (k for k in wanted if f"{k}.npy" in members):
                array = file[key]
                if not isinstance(array, np.ndarray):  # numpy hands out what is no array as bytes
                    raise ValueError(f"{key} is no array")
                content[key] = array
            return content
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError):
        raise CasesError(
            f"{path.name}: truncated or not an npz file; accepted is a whole one"
        ) from None
    except (ValueError, MemoryError) as error:
        if "allow_pickle" in str(error):
            raise CasesError(
                f"{path.name}: {key} holds Python objects; accepted are arrays of numbers or text"
            ) from None
        raise CasesError(
            f"{path.name}: {key} cannot be read; accepted is a whole npz file"
        ) from None
    except OSError as error:
        raise CasesError(f"{path.name}: cannot be read ({error.strerror or 'damaged'})") from None


def _split(
    content: Content, name: str, task: Task, file: str
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """One split's images (n, channels, height, width) and targets (n, classes)."""
    for key in (f"{name}_images", f"{name}_labels"):
        if key not in content:
            raise CasesError(
                f"{file}: {key} is missing; accepted is an npz with "
                "{train,val,test}_images and {train,val,test}_labels"
            )
    images = _images(content[f"{name}_images"], f"{file}: {name}_images", task)
    labels = content[f"{name}_labels"]
    if len(np.atleast_1d(labels)) != len(images):
        raise CasesError(
            f"{file}: {name}_labels has shape {labels.shape} for {len(images)} images; "
            "accepted is one row for each image"
        )
    return images, _targets(labels, f"{file}: {name}_labels", task)


def _images(array: NDArray[Any], where: str, task: Task) -> NDArray[np.uint8]:
    """Images with the study's channels first."""
    channels, height, width = task.image
    if array.dtype != np.uint8:
        raise CasesError(f"{where} is {array.dtype}; accepted is uint8")
    if array.ndim not in (3, 4) or (array.ndim == 4 and array.shape[-1] not in (1, 3)):
        raise CasesError(
            f"{where} has shape {array.shape}; "
            "accepted is (n, height, width) or (n, height, width, 3)"
        )
    if array.shape[1:3] != (height, width):
        raise CasesError(
            f"{where} are {array.shape[1]} x {array.shape[2]}; "
            f"accepted is the study's size, {height} x {width}"
        )
    planes = array[:, None] if array.ndim == 3 else np.moveaxis(array, -1, 1)
    if planes.shape[1] > channels:
        raise CasesError(f"{where} are in colour; accepted is gray, the study's task.image says so")
    return np.ascontiguousarray(np.broadcast_to(planes, (len(array), channels, height, width)))


def _targets(labels: NDArray[Any], where: str, task: Task) -> NDArray[np.uint8]:
    """Labels as (n, classes) of 0 and 1."""
    classes = len(task.classes)
    if labels.dtype.kind not in "iub":
        raise CasesError(f"{where} is {labels.dtype}; accepted are integers")
    columns = classes if task.multi_label else 1
    wide = labels[:, None] if labels.ndim == 1 else labels
    if wide.shape[1:] != (columns,):
        raise CasesError(
            f"{where} has shape {labels.shape}; accepted is (n, {columns}) in a {task.kind} task"
        )
    top = 1 if task.multi_label else classes - 1
    if wide.size and (wide.min() < 0 or wide.max() > top):
        worst = int(wide.min()) if wide.min() < 0 else int(wide.max())
        raise CasesError(f"{where} holds {worst}; accepted is 0 to {top} with {classes} classes")
    if task.multi_label:
        return wide.astype(np.uint8)
    return np.eye(classes, dtype=np.uint8)[wide[:, 0].astype(np.int64)]


def _column(
    content: Content, name: str, lengths: Mapping[str, int], file: str
) -> tuple[str, ...] | None:
    """An optional array over all splits as text, or None where no split has it."""
    present = [split for split, n in lengths.items() if f"{split}_{name}" in content]
    if not present:
        return None
    values: list[str] = []
    for split, n in lengths.items():
        array = content.get(f"{split}_{name}")
        if array is None:
            raise CasesError(
                f"{file}: {split}_{name} is missing while {present[0]}_{name} is there; "
                "accepted is all three splits or none"
            )
        if array.dtype.kind not in "iuU" or array.shape != (n,):
            raise CasesError(
                f"{file}: {split}_{name} is {array.dtype} {array.shape}; "
                f"accepted are integers or text of shape ({n},)"
            )
        values.extend(str(v) for v in array.tolist())
    if not all(values):
        raise CasesError(f"{file}: {name} is empty for a case; accepted is a value for each case")
    return tuple(values)
