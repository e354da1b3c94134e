"""One train step under SecAgg+: the sum of the sites' updates, of which none is seen alone.

Flower's workflow does the four stages; here they are begun anew when too few sites stayed to the
end, with those that are there.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flwr.app import ConfigRecord, Context, Error, RecordDict
from flwr.common import FitIns, ndarrays_to_parameters, parameters_to_ndarrays
from flwr.compat.common.recorddict_compat import parameters_to_arrayrecord
from flwr.server import LegacyContext
from flwr.server.workflow import SecAggPlusWorkflow
from flwr.server.workflow.constant import MAIN_CONFIGS_RECORD, MAIN_PARAMS_RECORD
from flwr.server.workflow.constant import Key as WorkflowKey
from flwr.server.workflow.secure_aggregation.secaggplus_workflow import WorkflowState
from flwr.serverapp import Grid

from protocol.records import Arrays, SiteUpdate, StepKey
from protocol.secagg import LEAST_SITES, Masking, asked, group_of, masking, mean_update
from protocol.steps import ABSTENTIONS, StepRequest
from protocol.study import Study
from server.federation import Federation, QuorumLost
from server.ledger import Stage

_NOWHERE = -1  # of a site in the roster that Flower has no node of


@dataclass(frozen=True, slots=True)
class Summed:
    """What a masked round gave.

    Attributes:
        update: the mean of the sites' updates, weighted by labels; None where none had a label.
        sites: node ids of those that are in it.
        abstained: how many others said that the study is to go on without them in this step.
    """

    update: SiteUpdate | None
    sites: frozenset[int]
    abstained: int = 0


@dataclass(frozen=True, slots=True)
class _Node:
    """A site as Flower's workflow wants to see it."""

    node_id: int


@dataclass(slots=True)
class _Round:
    """What the workflow asks a strategy: whom to ask what, and where to put the mean."""

    nodes: Sequence[int]
    fitins: FitIns
    means: list[Any] | None = None

    def configure_fit(self, *_: object) -> list[tuple[_Node, FitIns]]:
        return [(_Node(node), self.fitins) for node in self.nodes]

    def aggregate_fit(
        self, _: object, results: Sequence[tuple[Any, Any]], failures: object
    ) -> tuple[None, dict[str, Any]]:
        if results:
            self.means = parameters_to_ndarrays(results[0][1].parameters)
        return None, {}

    def num_available(self) -> int:
        return len(self.nodes)


def ask_sum(
    federation: Federation, study: Study, stage: Stage, arrays: Arrays
) -> tuple[SiteUpdate | None, list[str]]:
    """The mean of the sites' updates in a train step, and the names of those that are in it.

    A round that too few saw to its end has told nobody anything; it is done again with those that
    are there, until the federation's patience ends. A site that abstains counts towards a quorum,
    as without masks, but not towards those whose sum hides each of them.

    Raises:
        QuorumLost: then.
        Halted: while waiting.
    """
    timing, patience = federation.timing, time.monotonic() + federation.timing.patience
    key = StepKey(federation.study, stage.cycle, stage.step, stage.round)
    request = StepRequest(key, federation.epoch, arrays)
    least = max(federation.needed, LEAST_SITES)
    while True:
        here = {
            node: name
            for name, node in federation.roster().items()
            if node != _NOWHERE and name not in federation.withdrawn
        }
        if len(here) >= least:
            agreed = masking(study, len(here))
            found = summed(federation.grid, list(here), request, agreed, timing.patience, least)
            if found is not None:
                return found.update, [name for node, name in here.items() if node in found.sites]
        if math.isinf(timing.retry) or time.monotonic() > patience:
            raise QuorumLost(
                f"cycle {stage.cycle + 1}, train, round {stage.round + 1}: of "
                f"{len(federation.sites)} sites fewer than {least} "
                "stayed to the end of the masked sum"
            )
        federation.pause(timing.retry)


def summed(
    grid: Grid,
    nodes: Sequence[int],
    request: StepRequest,
    masking: Masking,
    seconds: float,
    least: int = LEAST_SITES,
) -> Summed | None:
    """One masked round; None where too few sites stayed, and nothing was learnt.

    Whether they are enough is decided before the masks come off: a sum that is not taken must not
    be seen, since a site's update is what two sums of one round differ by.

    Args:
        grid: Flower's.
        nodes: ids of the sites that shall take part, at least `LEAST_SITES`.
        request: the train step.
        masking: for so many sites.
        seconds: that each of the four stages may take.
        least: sites that must stay to the end or abstain.
    """
    parameters, config = asked(request)
    round_ = _Round(nodes, FitIns(ndarrays_to_parameters(parameters), dict(config)))
    context = _context(round_, group_of(request.key))
    workflow, state = _workflow(masking, seconds), WorkflowState()
    if not (
        workflow.setup_stage(grid, context, state)
        and workflow.share_keys_stage(grid, context, state)
    ):
        return None
    # Who left before its keys were shared is in nobody's mask, and nobody has to take it off.
    state.sampled_node_ids = set(state.active_node_ids)
    if len(state.sampled_node_ids) < LEAST_SITES or not workflow.collect_masked_vectors_stage(
        grid, context, state
    ):
        return None
    stayed, abstained = frozenset(state.active_node_ids), _abstained(state.failures)
    if len(stayed) < LEAST_SITES or len(stayed) + abstained < least:
        return None
    if not workflow.unmask_stage(grid, context, state):
        return None
    if round_.means is None:
        return None
    update = mean_update(round_.means, request.arrays, len(stayed))
    return Summed(update, stayed, abstained)


def _workflow(masking: Masking, seconds: float) -> SecAggPlusWorkflow:
    """Flower's, with the masking's numbers."""
    return SecAggPlusWorkflow(
        masking.shares,
        masking.threshold,
        max_weight=masking.most,
        clipping_range=masking.clipping,
        quantization_range=masking.levels,
        modulus_range=masking.modulus,
        timeout=None if math.isinf(seconds) else seconds,
    )


def _abstained(failures: Sequence[Exception]) -> int:
    """How many sites abstain, by what Flower's workflow keeps of replies: some of them twice."""
    errors = (failure.args[0] for failure in failures if failure.args)
    return len({id(e) for e in errors if isinstance(e, Error) and e.reason in ABSTENTIONS})


def _context(round_: _Round, group: str) -> LegacyContext:
    """What Flower's older interface keeps of a run: the parameters, and which round it is."""
    plain = Context(0, 0, {}, RecordDict(), {})
    strategy: Any = round_
    context = LegacyContext(plain, strategy=strategy, client_manager=strategy)
    context.state.config_records[MAIN_CONFIGS_RECORD] = ConfigRecord(
        {WorkflowKey.CURRENT_ROUND: group}
    )
    context.state.array_records[MAIN_PARAMS_RECORD] = parameters_to_arrayrecord(
        round_.fitins.parameters, keep_input=True
    )
    return context
