"""Laws of the source: which way imports run, what things are called, how long they are."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("daemons", "protocol", "strategies", "client", "server", "simulations", "tests")
FILES = sorted(
    path.relative_to(ROOT)
    for room in ROOMS
    for path in (ROOT / room).rglob("*.py")
    if "_pb2" not in path.name  # generated
)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)

OURS = {  # what each room may import of ours
    "daemons": {"daemons"},
    "protocol": {"protocol"},
    "strategies": {"protocol", "strategies"},
    "client": {"daemons", "protocol", "strategies", "client"},
    "server": {"daemons", "protocol", "strategies", "server"},
    "simulations": {"daemons", "protocol", "strategies", "client", "server", "simulations"},
    "tests": {"daemons", "protocol", "strategies", "client", "server", "simulations"},
}
HEAVY = {"torch", "monai", "opacus", "ray", "sklearn", "matplotlib", "pandas", "torchvision"}
OUTSIDE = {  # what the pure rooms may import besides the standard library; None: all but HEAVY
    "protocol": {"numpy", "pydantic", "pydantic_core", "safetensors"},
    "strategies": {"numpy", "scipy"},
    "server": None,
}
IO = {"sqlite3", "socket", "urllib", "http", "subprocess", "pickle", "multiprocessing"}


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))))


@cache
def tops(path: Path) -> frozenset[str]:
    return frozenset(name.partition(".")[0] for name in imported(path))


def imported(path: Path) -> Iterator[str]:
    """Every module that a file imports, at its head, late, or by name."""
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module
            yield node.module
        elif isinstance(node, ast.Call) and called(node) in ("import_module", "__import__"):
            yield from (a.value for a in node.args if isinstance(a, ast.Constant))


def called(node: ast.Call) -> str:
    return str(getattr(node.func, "attr", getattr(node.func, "id", "")))


def test_the_walk_sees_the_house() -> None:
    assert len(FILES) > 100
    assert "torch" in tops(Path("client/learning/train.py"))
    assert "client" in tops(Path("client/home.py")) or "protocol" in tops(Path("client/home.py"))


@pytest.mark.parametrize("room", ROOMS)
def test_imports_run_one_way(room: str) -> None:
    wrong = [
        f"{path} imports {name}"
        for path in FILES
        if path.parts[0] == room
        for name in sorted(tops(path) & set(ROOMS) - OURS[room])
    ]
    assert not wrong


@pytest.mark.parametrize("room", OUTSIDE)
def test_rooms_without_torch_stay_so(room: str) -> None:
    wrong = []
    for path in (p for p in FILES if p.parts[0] == room):
        foreign = tops(path) - set(ROOMS) - set(sys.stdlib_module_names)
        known = OUTSIDE[room]
        allowed = foreign - HEAVY if known is None else known
        if path == Path("protocol/wire.py"):
            allowed = allowed | {"flwr"}
        if path.parts[0] == "protocol":
            allowed = allowed | {"google"}  # protobuf's messages, of which our stubs are made
        wrong += [f"{path} imports {name}" for name in sorted(foreign - allowed)]
    assert not wrong


@pytest.mark.parametrize("room", ["protocol", "strategies"])
def test_pure_rooms_do_no_input_or_output(room: str) -> None:
    wrong = [
        f"{path} imports {name}"
        for path in FILES
        if path.parts[0] == room
        for name in sorted(tops(path) & IO)
    ]
    assert not wrong


@pytest.mark.parametrize("room", ROOMS[:-1])
def test_nothing_pickles(room: str) -> None:
    pickles = {"pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
    wrong = [str(p) for p in FILES if p.parts[0] == room and tops(p) & pickles]
    assert not wrong


BANNED = {"manager", "handler", "helper", "util", "utils", "base", "mixin", "process", "info"}
BANNED |= {f"{word}s" for word in ("manager", "handler", "helper", "mixin")}


def words(name: str) -> set[str]:
    """The words of a name: snake_case and CamelCase taken apart."""
    parts = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    return set(re.split(r"[^a-z0-9]+", parts.lower()))


def named(path: Path) -> Iterator[tuple[int, str]]:
    """Functions, classes and the names that a file or a class defines, with their lines."""
    for node in nodes(path):
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            yield node.lineno, node.name
        if isinstance(node, ast.Module | ast.ClassDef):
            for statement in node.body:
                if isinstance(statement, ast.Assign | ast.AnnAssign):
                    for part in ast.walk(statement):
                        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                            yield part.lineno, part.id


def test_words_of_a_name() -> None:
    assert words("_TheBaseClass") == {"", "the", "base", "class"}
    assert words("database_processes") & BANNED == set()
    assert words("HandlerOf") & BANNED


def test_no_banned_names() -> None:
    wrong = [
        f"{path}:{line} {name}"
        for path in FILES
        for line, name in [(1, path.stem), (1, path.parent.name), *named(path)]
        if words(name) & BANNED and not name.startswith("test_")  # sentences, not names
    ]
    assert not wrong


def functions() -> Iterator[tuple[Path, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for path in FILES:
        for node in nodes(path):
            if isinstance(node, FUNCTIONS):
                yield path, node


def lines(node: ast.AST) -> int:
    start, end = getattr(node, "lineno", 0), getattr(node, "end_lineno", 0)
    return int(end) - int(start) + 1


def test_no_file_over_300_lines() -> None:
    sizes = {p: len((ROOT / p).read_text(encoding="utf-8").splitlines()) for p in FILES}
    wrong = [f"{path}: {size}" for path, size in sizes.items() if size > 300]
    assert not wrong


def test_no_function_over_50_lines() -> None:
    assert not [f"{p}:{f.lineno} {f.name}: {lines(f)}" for p, f in functions() if lines(f) > 50]


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.arg]:
    a = function.args
    named = [*a.posonlyargs, *a.args, *a.kwonlyargs]
    return named[1:] if named and named[0].arg in ("self", "cls") else named


def is_command(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether typer makes a command of it, whose parameters are the options people type."""
    return any(".command(" in ast.unparse(d) for d in function.decorator_list)


def test_no_signature_over_7_parameters() -> None:
    wrong = [
        f"{path}:{f.lineno} {f.name}: {len(parameters(f))}"
        for path, f in functions()
        if not is_command(f) and len(parameters(f)) > 7
    ]
    assert not wrong


def test_no_command_over_a_dozen_options() -> None:
    counts = {
        f"{path} {f.name}": sum("typer.Argument" not in ast.unparse(a) for a in parameters(f))
        for path, f in functions()
        if is_command(f)
    }
    assert counts
    assert not {name: count for name, count in counts.items() if count > 12}


def classes() -> dict[str, tuple[Path, ast.ClassDef]]:
    return {
        f"{path}:{node.name}": (path, node)
        for path in FILES
        for node in nodes(path)
        if isinstance(node, ast.ClassDef)
    }


def test_no_class_over_150_lines() -> None:
    assert not [
        f"{name}: {lines(node)}" for name, (_, node) in classes().items() if lines(node) > 150
    ]


def test_inheritance_is_one_step() -> None:
    """A class of ours inherits from one class, and a class of ours never from a grandchild."""
    ours = {node.name: node for path, node in classes().values() if path.parts[0] != "tests"}
    wrong = []
    for name, (_, node) in classes().items():
        bases = [
            ast.unparse(b) for b in node.bases if ast.unparse(b) not in ("Protocol", "Generic")
        ]
        parents = [ours[b] for b in bases if b in ours]
        grand = [b for p in parents for b in map(ast.unparse, p.bases) if b in ours]
        if len(bases) > 1 or grand:
            wrong.append(f"{name}({', '.join(bases)}) over {grand}")
    assert not wrong


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout: nothing says which files are tracked")
    return [Path(name) for name in listed.stdout.split("\0") if (ROOT / name).is_file()]


HOST = re.compile(r"\b(?:https?|wss?|grpcs?|ftp|git|ssh)://([A-Za-z0-9.\[\]:_-]+)")
LOOPBACK = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:\d+)?")
NAMESPACES = {"www.w3.org"}  # names of markup, never fetched
INDEX = re.compile(
    r"\b(?:[a-z0-9-]+\.)*(?:py" r"pi|conda|docker|ghcr|quay|npmjs)\.(?:org|io|com)\b"
)
MACHINE = re.compile(r"(?<![\w.~-])/(?:work|home|root|Users|mnt)/?(?=[\w\s\"'`)]|$)")


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (HOST, "see http" + "://example.test:80/x"),
        (INDEX, "from py" + "pi.org"),
        (MACHINE, 'open("' + "/" + 'home/ann/x")'),
    ],
)
def test_the_patterns_find(pattern: re.Pattern[str], text: str) -> None:
    assert pattern.search(text)


def test_no_addresses_and_no_machine_in_tracked_files() -> None:
    wrong = []
    for path in tracked():
        if str(path) == "LICENSE":
            continue  # its text is not ours to change
        try:
            text = (ROOT / path).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # a picture
        hosts = {h for h in HOST.findall(text) if not LOOPBACK.fullmatch(h)} - NAMESPACES
        found = [*sorted(hosts), *INDEX.findall(text), *MACHINE.findall(text)]
        wrong += [f"{path}: {what}" for what in found]
    assert not wrong
