"""What a server may ask for an approved study: no step, array or grant that its run does not have.

A study is approved for its budget, rounds and network. Without these bounds a server could look at
a site's cases through as many models of its own making as it likes, or open its whole pool.
"""

from __future__ import annotations

from client.cost import spent
from client.store.step_shelf import StepRefused
from client.store.store import SiteStore
from protocol.clusters import TAKE, TELL, asks_by_clusters
from protocol.gain import QUERIED, taken_apart
from protocol.records import Grant, StepKey
from protocol.steps import Code, StepRequest
from protocol.study import Study

_MODEL = ("report", "train", "evaluate", "compare")
_ARRAYS = (*_MODEL, "cluster")
_NEWEST = 2**63  # SQLite's integers end here


def check_request(study: Study, request: StepRequest) -> None:
    """Refuse a step that no run of the study has, and what does not belong to the step.

    Raises:
        StepRefused: cycle, round, sequence or epoch is out of range; or there are arrays or a grant
            where the step has none.
    """
    key, most = request.key, study.budget.total
    # every cycle, and every top-up, grants one reading or more
    compared = study.stopping.gain != "never"
    sequences = {"select": most, "train": QUERIED if compared else 0}.get(key.step, 0)
    if not (0 <= key.cycle <= most and 0 <= key.sequence <= sequences and _has_round(study, key)):
        raise StepRefused(Code.BAD_REQUEST, "a cycle, round or sequence that the study has not")
    if not 0 <= request.epoch < _NEWEST:
        raise StepRefused(Code.BAD_REQUEST, "an epoch that no start of the server has")
    if (request.arrays and key.step not in _ARRAYS) or (request.grant and key.step != "select"):
        raise StepRefused(Code.BAD_REQUEST, f"a {key.step} step with what does not belong to it")


def _has_round(study: Study, key: StepKey) -> bool:
    rounds = study.training.rounds_per_cycle
    if key.step == "train":
        return 0 <= key.round < rounds
    if key.step == "evaluate":  # the first weights, and the model at the end of each cycle
        return key.round == rounds or (key.cycle, key.round) == (0, 0)
    if key.step == "cluster":
        return key.round in (TELL, TAKE) and asks_by_clusters(study)
    if key.step == "compare":
        return key.round == rounds and study.stopping.gain != "never"
    return key.round == 0


def check_arrays(study: Study, request: StepRequest) -> None:
    """Refuse arrays that are not those of the study's own network; an update has the same ones.

    Raises:
        StepRefused: a name, type or shape is another one.
    """
    if request.key.step not in _MODEL:
        return
    from client.steps.outcome import network_of  # brings torch

    compared = request.key.step == "compare"
    network = network_of(study)
    try:
        for arrays in taken_apart(request.arrays) if compared else (request.arrays,):
            network.check(arrays)
    except ValueError as error:
        raise StepRefused(Code.BAD_REQUEST, str(error)) from None


def check_grant(store: SiteStore, study: Study, key: StepKey, grant: Grant) -> None:
    """Refuse a grant with which the cycle would have more than the study has for all its sites.

    In a private study each grant counts in full, as the server was told: else what it may give
    would tell of how many cases were read.

    Raises:
        StepRefused: it is too large, or below 0.
    """
    identity = study.identity
    granted = [store.readings.granted(identity, cycle) for cycle in range(key.cycle)]
    if study.privacy is None:
        granted = [min(spent(store, study, cycle), most) for cycle, most in enumerate(granted)]
    before = sum(granted)
    most = study.cycle_budget(key.cycle, before) - store.readings.granted(identity, key.cycle)
    if not 0 <= grant.count <= most:
        raise StepRefused(
            Code.BAD_REQUEST, f"a grant of {grant.count}; accepted is at most {max(most, 0)}"
        )
