"""The generated pages about strategies and policies: what, when, cost, paper, measured result."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from simulations import examples
from simulations.benchmarks.labels.summary import measured
from strategies.aggregation import AGGREGATION
from strategies.budget import BUDGET
from strategies.consensus import CONSENSUS
from strategies.guide import BUDGET_USE, QUERY_USE, Use
from strategies.pool import Needs
from strategies.private import READS, rule_of
from strategies.query import QUERY
from strategies.stopping import STOPPING

Table = Mapping[str, Callable[..., object]]

_RESULTS = "../benchmarks-labels.md"


def strategy_pages(docs: Path) -> dict[Path, str]:
    """The overview, and a page for each query strategy and each budget policy."""
    found = {docs / "strategies.md": "\n".join(_overview())}
    for kind, table, uses in (("query", QUERY, QUERY_USE), ("budget", BUDGET, BUDGET_USE)):
        for name in table:
            text = "\n".join(_page(kind, name, table[name], uses[name]))
            found[docs / "strategies" / f"{kind}-{name}.md"] = text
    return found


def _overview() -> Iterator[str]:
    yield "# Strategies and policies\n"
    yield "Generated from the tables of `strategies/`; every name is accepted in a study file.\n"
    yield from _which()
    yield "## Query strategies (`query.strategy`)\n"
    yield _ABOUT_QUERIES
    yield from _listed("query", QUERY)
    yield "\n## Budget policies (`budget.policy`)\n"
    yield _ABOUT_BUDGETS
    yield from _listed("budget", BUDGET)
    for title, key, table in (
        ("Aggregators", "aggregation.name", AGGREGATION),
        ("Consensus", "reading.consensus", CONSENSUS),
        ("Stopping rules", "stopping.rule", STOPPING),
    ):
        yield f"\n## {title} (`{key}`)\n"
        for name, row in sorted(table.items()):
            yield f"### `{name}`\n"
            yield f"{inspect.getdoc(row) or ''}\n"
            yield f"{_arguments(row)}\n"
    yield from _own()


def _which() -> Iterator[str]:
    """The decision list, and what the benchmark has found so far."""
    yield "## Which one should I use?\n"
    yield _DECISION
    yield f"What `make bench-labels` has found ([all tables](benchmarks-labels.md)): {_found()}\n"


def _found() -> str:
    """For each track and split with 20 pairs or more the arms beyond chance, or that none is."""
    claims: dict[str, list[str]] = {}
    few = 0
    for line in measured()["arms"]:
        if line["verdict"] == "exploratory":
            few += 1
            continue
        where = f"track {line['track']} ({line['split']}, {line['cell']})"
        won = claims.setdefault(where, [])
        if line["verdict"] == "win":
            won.append(f"`{line['arm']}` {line['gain'][0]:+.3f}")
    said = [f"{w}: {', '.join(a) or 'none beyond chance'}" for w, a in claims.items()]
    if not said:
        return f"nothing that may be claimed yet ({few} exploratory rows of fewer than 20 pairs)."
    return f"against random, by mean AUROC over the budget: {'; '.join(said)}."


def _listed(kind: str, table: Table) -> Iterator[str]:
    yield "| name | what it does | measured |"
    yield "| --- | --- | --- |"
    for name, row in sorted(table.items()):
        first = (inspect.getdoc(row) or "").partition("\n")[0].replace("|", "\\|")
        best = _best(kind, name)
        yield f"| [`{name}`](strategies/{kind}-{name}.md) | {first} | {best} |"


def _best(kind: str, name: str) -> str:
    if name in ("random", "uniform"):
        return "what others are held against"
    lines, key = _lines(kind, name), "arm" if kind == "query" else "policy"
    arms = dict.fromkeys(line[key] for line in lines)
    said = (_claimed(arm, [line for line in lines if line[key] == arm]) for arm in arms)
    return "; ".join(said) or "not measured"


def _claimed(arm: str, lines: Sequence[Mapping[str, Any]]) -> str:
    """What may be said of an arm, which may be a row with other settings."""
    pairs, verdicts = max(line["seeds"] for line in lines), {_verdict(line) for line in lines}
    claimed = ", ".join(sorted(verdicts - {"exploratory"})) or "exploratory"
    _, plus, settings = arm.partition("+")
    return f"{f'with `{settings}` ' if plus else ''}{claimed}, pairs: {pairs}"


def _verdict(line: Mapping[str, Any]) -> str:
    """A strategy's; of a policy whether it is safe."""
    said: str = line["safe"] if "safe" in line else line["verdict"]
    return {"yes": "safe", "no": "not safe"}.get(said, said)


def _page(kind: str, name: str, row: Callable[..., object], use: Use) -> Iterator[str]:
    what, arguments, source = _parts(inspect.getdoc(row) or "")
    title, key = ("Query strategy", "query.strategy"), ("Budget policy", "budget.policy")
    called, where = title if kind == "query" else key
    yield f"# `{name}`\n"
    yield f'{called}: `{where.partition(".")[2]} = "{name}"` under `[{where.partition(".")[0]}]`.\n'
    yield f"## What it does\n\n{what}\n"
    yield f"## When to use it\n\n{use.when}\n"
    yield f"## What it costs\n\n{use.cost}\n"
    if kind == "query":
        yield _looked_at(QUERY[name]().needs)
        yield f"In a private study it {rule_of(name)}.\n"
    else:
        yield f"In a private study: {'accepted' if name in READS else 'refused'}.\n"
    yield f"## Arguments\n\n{arguments}{_arguments(row)}\n"
    yield f"## Paper\n\n{source or 'Ours.'}\n"
    yield "## Measured\n"
    yield from _measured(kind, name)
    yield "\n[All strategies and policies](../strategies.md)\n"


def _parts(text: str) -> tuple[str, str, str]:
    """A docstring's own words, its arguments as a list, and its source."""
    said, listed, source = [], "", ""
    for block in text.split("\n\n"):
        if block.startswith("Attributes:"):
            listed, _, more = block.partition("\nSource:")
            source = source or more.strip()
        elif block.lstrip().startswith("Source:"):
            source = block.strip().removeprefix("Source:").strip()
        else:
            said.append(block)
    source = " ".join(source.split())
    return "\n\n".join(said), _list(listed), source[:1].upper() + source[1:]


def _list(block: str) -> str:
    """The attributes of a docstring as a list."""
    items: list[str] = []
    for line in block.splitlines()[1:]:
        name, colon, words = line.strip().partition(": ")
        if line.startswith("    ") and not line.startswith("     ") and colon and " " not in name:
            items.append(f"* `{name}`: {words}")
        elif items:
            items[-1] += f" {line.strip()}"
    return "\n".join(items) + "\n\n" if items else ""


def _arguments(row: Callable[..., object]) -> str:
    signature = str(inspect.signature(row)).split(" ->")[0]
    plain = re.sub(r""": (['"])(.*?)\1(?= =|[,)])""", r": \2", signature)
    return f"Arguments: `{plain}`" if signature != "()" else "No arguments."


def _lines(kind: str, name: str) -> list[Mapping[str, Any]]:
    """What was measured of a row, in the order of the benchmark."""
    known, key = ("arms", "arm") if kind == "query" else ("policies", "policy")
    found: Sequence[Mapping[str, Any]] = measured()[known]
    return [line for line in found if line[key].partition("+")[0] == name]


def _measured(kind: str, name: str) -> Iterator[str]:
    lines = _lines(kind, name)
    if not lines:
        yield "Not measured." if name not in ("random", "uniform") else _REFERENCE
        return
    yield f"By `make bench-labels`; what the columns mean stands [there]({_RESULTS}).\n"
    if kind == "query":
        told = "arm | track | cell, split | pairs | gain over random (95 %) | verdict"
        yield f"| {told} | query s | score s |"
        yield "| --- " * 8 + "|"
        for x in lines:
            gain = f"{x['gain'][0]:+.4f} ({x['gain'][1]:+.4f} to {x['gain'][2]:+.4f})"
            where = f"{x['track']}, {x['title']} | {x['cell']}, {x['split']}"
            more = f"{gain} | {x['verdict']} | {x['query_seconds']} | {x['score_seconds']}"
            yield f"| `{x['arm']}` | {where} | {x['seeds']} | {more} |"
        return
    told = "policy | track | cell, split | with | pairs | gain | lower bound | safe | moved | saved"
    yield f"| {told} |"
    yield "| --- " * 10 + "|"
    for x in lines:
        lower = "-" if x["lower"] is None else f"{x['lower']:+.4f}"
        where = f"{x['track']}, {x['title']} | {x['cell']}, {x['split']} | `{x['strategy']}`"
        more = f"{lower} | {x['safe']} | {x['moved']:.1%} | {x['saved'] or '-'}"
        yield f"| `{x['policy']}` | {where} | {x['seeds']} | {x['mean']:+.4f} | {more} |"


def _looked_at(needs: Needs) -> str:
    """The signals that a strategy with default arguments looks at, and the models behind them."""
    signals = ", ".join(f"`{name}`" for name in sorted(needs.signals)) or "none"
    models = f"; models: {', '.join(sorted(needs.models))}" if needs.models else ""
    return f"Signals: {signals}{models}.\n"


def _own() -> Iterator[str]:
    yield "\n## Add your own in ten lines\n"
    yield (
        "Put it into a module that Python finds and name it in a simulation, as in "
        "`--arms my_lab.ideas:Novelty` or `--set budget.policy=my_lab.ideas:FewestLabels`. Python "
        "does not look into the folder that you stand in unless told to: "
        "`PYTHONPATH=. wardround simulate demo --arms my_lab:Novelty,random` takes `my_lab.py` "
        "from there. A "
        "strategy sees numbers, never the model; it returns rows, most wanted first. A site runs "
        "only what is in our tables and in the packages that its admin listed as `plugins`. A "
        "row for everybody is one dataclass, one line in the table of its folder and one in "
        "`strategies/guide.py`; the contract tests, the command line, the study file and these "
        "pages pick it up from there. (A test runs what stands here.)\n"
    )
    yield f"```python\n{inspect.getsource(examples).partition(_END)[2].lstrip()}```\n"


_END = 'docs/strategies.md prints them."""\n'
_REFERENCE = "What the others are held against; its own curves stand in the benchmark's tables."

_DECISION = """\
1. The very first cycle, before any label: `query.cold_start = "random"`, the default. With an
   untrained network `typiclust` led a screen of five seeds on track A and was not above it in the
   confirmation there; `probcover` and `maxherding` were below it already in the screens.
   `typiclust` is made for a pretrained network whose features mean something, and
   `federated-typiclust` for that where the sites see alike cases. Neither was measured so;
   `wardround study freeze --weights` and `wardround simulate` of that folder rehearse them.
2. Epsilon is to cover the choice of cases, too: `threshold-random`. In any other private study
   take a strategy whose page says what it looks at, and read what epsilon then means.
3. Everything else: `ward`, the default, rare classes and sites that differ included. It trains no
   second model. In the confirmations no other method was above it beyond chance; it was above
   `coreset`, the best of them, where scanners differ and the disease is rare. Where most sites
   have hardly more than one class, `coreset` and `logo` were ahead in a screen of five seeds, which
   claims nothing.
4. One rule that can be said in a sentence: `coreset`, far from all labels; `entropy`, in doubt.
5. Readings are budgeted in minutes and kinds of cases differ in length, such as a CT and a plain
   image: `cost-aware`, made for that and not measured there. The tracks hold one kind each, and
   on one kind it is `entropy`.
6. Budgets between sites: `uniform`. To move budget at all: `safe`. Physicians' hours are the bound:
   `hours`, which grants no more than they can read at the pace measured so far. On track C seven
   other policies raised the mean AUROC and cost the worst-served hospital log-loss; none but `safe`
   kept within both bounds. With readings of unequal length there, `neyman` and a tight `hours` came
   to uniform's AUROC in fewer minutes, at that price.
7. In doubt, simulate it on labeled cases of your own: `wardround simulate --arms NAME,random`. In a
   live study `stopping.gain` holds the strategy against random.
"""

_ABOUT_QUERIES = (
    "Every published method here is our re-implementation from its paper, and from its authors' "
    "code where the entry says so; what differs is said. n cases in the pool, m labeled, k picks, "
    "d features. A strategy sees only the signals it names, computed once at the report step. The "
    "global model's cost the report's own pass over the pool. The site's own models never leave "
    "it: `local` is the global one after one more round of the site's training (one round and one "
    "pass), `scratch` is trained on the site's labels alone (at most 50 passes over them and 500 "
    "steps, and one pass over the pool). In the first cycle, and at a site without labels, the "
    "cold start is asked instead of a strategy that looks at them.\n"
)

_ABOUT_BUDGETS = (
    "Whatever the policy, a site that read nothing of its last grant is asked for no more than "
    "`budget.floor` (for one unit where that is 0) until it reads again, and the others share the "
    "rest; its reason says so. In a private study, where sites do not tell what they have left "
    "unread, no site counts as silent. `floor`, and what `hours` reckons with as `seconds`, are "
    "those of `[budget]`; among a policy's arguments they are refused.\n"
)
