"""Laws of the distribution: what is declared, what is installed, what travels, how it starts."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import distribution, packages_distributions
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
BOTH = "server and site"  # what both kinds of daemon are installed with
ROOMS = ("daemons", "protocol", "strategies", "client", "server", "simulations")
TEXT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
PROJECT: dict[str, Any] = tomllib.loads(TEXT)
EXTRAS: dict[str, list[str]] = PROJECT["project"]["optional-dependencies"]
EXTRA_OF = {"protocol": "", "strategies": "", "server": "server", "client": "site"}
EXTRA_OF |= {"simulations": "sim", "tests": "dev", "daemons": BOTH}


def declared(extra: str) -> list[Requirement]:
    """What an extra asks for, the base and the extras within it included."""
    if extra == BOTH:
        server, site = declared("server"), declared("site")
        return [r for r in server if r in site]
    found = [Requirement(d) for d in PROJECT["project"]["dependencies"]]
    for text in EXTRAS.get(extra, []):
        requirement = Requirement(text)
        if requirement.name == "wardround":
            found += [r for inner in sorted(requirement.extras) for r in declared(inner)]
        else:
            found.append(requirement)
    return found


PEERS = frozenset({"nvflare"})
"""Imported only by scripts that a benchmark runs in an environment of the peer's own."""


def imports(room: str) -> dict[str, Path]:
    """Third-party modules that a room imports, late ones too, and a file that does."""
    found: dict[str, Path] = {}
    for path in sorted((ROOT / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found |= {name.partition(".")[0]: path.relative_to(ROOT) for name in names}
    ours = {*ROOMS, "tests", *sys.stdlib_module_names, "", *PEERS}
    return {name: path for name, path in found.items() if name not in ours}


@pytest.fixture(scope="module")
def sources() -> dict[str, set[str]]:
    """The distributions that bring each module."""
    return {
        module: {canonicalize_name(d) for d in found}
        for module, found in packages_distributions().items()
    }


@pytest.mark.slow
@pytest.mark.parametrize("room", EXTRA_OF)
def test_what_is_imported_is_declared(room: str, sources: dict[str, set[str]]) -> None:
    names = {canonicalize_name(r.name) for r in declared(EXTRA_OF[room])}
    wrong = [
        f"{path} imports {module}"
        for module, path in imports(room).items()
        if not sources.get(module, set()) & names
    ]
    assert not wrong


@pytest.mark.slow
def test_what_is_declared_is_imported_or_carries_its_reason(sources: dict[str, set[str]]) -> None:
    used = {d for room in EXTRA_OF for module in imports(room) for d in sources.get(module, set())}
    listed = [*PROJECT["project"]["dependencies"], *(d for ds in EXTRAS.values() for d in ds)]
    wrong = []
    for text in listed:
        requirement = Requirement(text)
        reasoned = any(f'"{text}"' in line and "#" in line for line in TEXT.splitlines())
        plain = canonicalize_name(requirement.name) in used and not requirement.extras
        if requirement.name != "wardround" and not reasoned and not plain:
            wrong.append(text)
    assert not wrong


@pytest.mark.slow
def test_every_exact_or_upper_pin_carries_its_reason() -> None:
    pinned = [line for line in TEXT.splitlines() if line.startswith('  "') and "=" in line]
    capped = [line for line in pinned if "==" in line or ",<" in line]
    bare = [line for line in capped if "#" not in line and ",<3" not in line]
    assert capped
    assert not bare  # a next major version needs no words


def closure(wanted: list[Requirement]) -> set[str]:
    """The distributions that come with these requirements, by the metadata of what is installed."""
    seen: set[tuple[str, str]] = set()
    waiting = [(r.name, extra) for r in wanted for extra in ("", *r.extras)]
    while waiting:
        name, extra = waiting.pop()
        if (canonicalize_name(name), extra) in seen:
            continue
        seen.add((canonicalize_name(name), extra))
        for text in distribution(name).requires or []:
            inner = Requirement(text)
            if inner.marker is None or inner.marker.evaluate({"extra": extra}):
                waiting += [(inner.name, e) for e in ("", *inner.extras)]
    return {name for name, _ in seen}


HEAVY = {"torch", "monai", "opacus", "ray", "scikit-learn", "matplotlib", "torchvision"}


@pytest.mark.parametrize("extra", ["", "server"])
def test_a_server_installs_no_torch(extra: str) -> None:
    found = closure([r for r in declared(extra) if r.marker is None or r.marker.evaluate()])
    assert {"flwr", "numpy", "grpcio"} <= found  # the walk goes deep
    assert not found & HEAVY


@pytest.mark.slow
def test_a_site_installs_torch_and_no_ray() -> None:
    found = closure(declared("site"))
    assert {"torch", "monai"} <= found
    assert not found & {"ray", "matplotlib"}


def tree_packages() -> Iterator[str]:
    for room in ROOMS:
        folders = {path.parent for path in (ROOT / room).rglob("*.py")}
        yield from (".".join(folder.relative_to(ROOT).parts) for folder in folders)


def test_packages_are_those_that_exist() -> None:
    listed = PROJECT["tool"]["setuptools"]["packages"]
    assert sorted(listed) == sorted(set(tree_packages()))
    for package in listed:
        assert (ROOT / package.replace(".", "/") / "__init__.py").exists(), package


def test_package_data_is_what_the_code_reads() -> None:
    patterns: dict[str, list[str]] = PROJECT["tool"]["setuptools"]["package-data"]
    shipped = {
        path
        for package, globs in patterns.items()
        for pattern in globs
        for path in (ROOT / package.replace(".", "/")).glob(pattern)
    }
    lying = {
        path
        for room in ROOMS
        for path in (ROOT / room).rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc", ".pyo")
    }
    assert lying == shipped
    assert {path.suffix for path in shipped} >= {".toml", ".j2", ".proto", ".pyi"}


@pytest.mark.slow
def test_wheel_building_finds_the_same_modules() -> None:
    """What setuptools itself would put into a wheel, without building one."""
    script = (
        "from setuptools import Distribution\n"
        "d = Distribution({'script_name': 'setup.py'}); d.parse_config_files()\n"
        "b = d.get_command_obj('build_py'); b.ensure_finalized()\n"
        "print(*[m[2] for m in b.find_all_modules()], sep='\\n')\n"
        "print(*[f'{s}/{n}' for _, s, _, ns in b.data_files for n in ns], sep='\\n')\n"
    )
    found = python(script, cwd=ROOT, warnings="ignore").split()
    expected = {
        str(path.relative_to(ROOT))
        for room in ROOMS
        for path in (ROOT / room).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert set(found) == expected


def python(script: str, cwd: Path, warnings: str = "default") -> str:
    done = subprocess.run(
        [sys.executable, "-W", warnings, "-c", script],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


LATE = "print(*sorted({m.partition('.')[0] for m in sys.modules}))"


@pytest.mark.slow
@pytest.mark.parametrize("module", ["protocol.study", "server.app"])
def test_a_server_runs_without_torch(module: str, tmp_path: Path) -> None:
    loaded = python(f"import sys, {module}; {LATE}", cwd=tmp_path).split()
    assert module.partition(".")[0] in loaded
    assert not {"torch", "monai", "opacus", "ray", "sklearn", "matplotlib", "client"} & {*loaded}


def test_the_command_is_the_one_declared() -> None:
    assert PROJECT["project"]["scripts"] == {
        "wardround": "simulations.cli:main",
        "wardround-server": "server.cli:main",
        "wardround-site": "client.cli:main",
    }


HELP = (
    "import sys\nsys.argv = ['wardround', '--help']\nfrom simulations.cli import main\n"
    "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
)


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    said = python(f"{HELP}print('LOADED')\n{LATE}", cwd=tmp_path)
    words, _, loaded = said.partition("LOADED")
    assert "Usage: wardround" in words
    assert "simulate" in words
    heavy = {"torch", "flwr", "monai", "ray", "scipy", "numpy", "pydantic", "sklearn", "jinja2"}
    assert not heavy & {*loaded.split()}


@pytest.mark.slow
def test_help_takes_less_than_half_a_second_of_cpu(tmp_path: Path) -> None:
    def seconds() -> float:
        child = subprocess.Popen(
            [sys.executable, "-c", HELP], cwd=tmp_path, stdout=subprocess.DEVNULL
        )
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        assert child.returncode == 0
        return used.ru_utime + used.ru_stime

    assert min(seconds() for _ in range(6)) < 0.5  # the least: a busy machine adds to each


@pytest.mark.parametrize(
    "page", sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")]), ids=lambda p: p.name
)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8"))
    assert not [link for link in links if not (page.parent / link).exists()]
