"""A train step under SecAgg+: Flower's own masking around our step, and what it is not to be told.

The server sees the weighted sum of the sites' updates, and none of them alone. This holds against
a server that follows the protocol: keys come through it, and a site cannot tell a made-up neighbour
from a real one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256

import numpy as np
from flwr.app import ConfigRecord, Context, Error, Message, MetricRecord, RecordDict
from flwr.client.mod import secaggplus_mod
from flwr.common import Code as Status
from flwr.common import FitRes, ndarrays_to_parameters, parameters_to_ndarrays
from flwr.common import Status as FlowerStatus
from flwr.common.constant import ErrorCode
from flwr.common.secure_aggregation.secaggplus_constants import RECORD_KEY_CONFIGS, Key, Stage
from flwr.compat.common.recorddict_compat import fitres_to_recorddict, recorddict_to_fitins

from client.audit.gate import let_out_masking
from client.site import Site
from client.store.step_shelf import StepRefused
from protocol.egress import Released
from protocol.records import SiteUpdate, StepKey
from protocol.secagg import LEAST_SITES, changes, heaviest, key_of, masking, understood
from protocol.seeds import Purpose, generator
from protocol.steps import Code, StepRequest
from protocol.study import Study

_GROUP = "wardround_secagg"  # in Flower's state of this run: which round the keys are for


def answer_masked(site: Site, message: Message, context: Context) -> Message:
    """The site's part in one of the four messages of a round.

    Args:
        site: opened.
        message: with SecAgg+'s configuration.
        context: Flower's; it keeps the round's keys from one message to the next.

    Raises:
        StepRefused, CodecError: it does not take part; nothing that could be unmasked has left.
    """
    key = key_of(message.metadata.group_id)
    study = site.store.steps.study(key.study)
    if not study.aggregation.secure:
        raise StepRefused(Code.BAD_REQUEST, "a masked round of a study without masks")
    stage = _check(study, key, message, context)
    # Flower's mod takes entries out of the record, which in a simulation other sites get, too.
    configs = ConfigRecord(dict(message.content.config_records[RECORD_KEY_CONFIGS]))
    message.content = RecordDict({**message.content, RECORD_KEY_CONFIGS: configs})

    from client.dispatch import answer  # torch comes with it, and keys need none

    def call(inner: Message, _: Context) -> Message:
        fitins = recorddict_to_fitins(inner.content, keep_input=True)
        request = understood(parameters_to_ndarrays(fitins.parameters), fitins.config)
        if request.key != key:
            raise StepRefused(Code.BAD_REQUEST, "a request for another round than its keys")
        reply = answer(site, request, masked=True)
        if not isinstance(reply, SiteUpdate):
            raise StepRefused(Code.FAILED, "no update")
        return Message(_masks(study, reply, request), reply_to=inner)

    with _rounding(site, study, key):
        reply = secaggplus_mod(message, context, call)
    if stage == Stage.COLLECT_MASKED_VECTORS:  # Flower leaves the weight beside the mask
        reply.content.metric_records["fitres.num_examples"] = MetricRecord({"num_examples": 1})
    parts = b"".join(record.deflate() for record in reply.content.values())
    leaving = Released("SecAgg", len(parts), sha256(parts).hexdigest())
    let_out_masking(site.store, key, stage, leaving)
    return reply


def refused(message: Message, code: Code) -> Message:
    """What leaves of a refusal: its code."""
    return Message(Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, code.value), reply_to=message)


def _check(study: Study, key: StepKey, message: Message, context: Context) -> str:
    """The stage of a message that fits the study, and the stages before it."""
    configs, state = message.content.config_records[RECORD_KEY_CONFIGS], context.state
    stage, group = configs.get(Key.STAGE), message.metadata.group_id
    if key.step != "train" or not 0 <= key.round < study.training.rounds_per_cycle:
        raise StepRefused(Code.BAD_REQUEST, "a masked round that the study has not")
    if stage == Stage.SETUP:
        _check_masking(study, configs)
        state.config_records[_GROUP] = ConfigRecord({"group": group})
    elif _GROUP not in state or state.config_records[_GROUP]["group"] != group:
        raise StepRefused(Code.BAD_REQUEST, "keys of another round")
    if stage == Stage.UNMASK:
        _check_unmasking(configs, message.metadata.dst_node_id)
    return str(stage)


def _check_masking(study: Study, configs: ConfigRecord) -> None:
    """Refuse a masking that hides less than the study says."""
    sites = configs.get(Key.SAMPLE_NUMBER)
    if not isinstance(sites, int) or sites < LEAST_SITES:
        raise StepRefused(Code.BAD_REQUEST, f"a sum over fewer than {LEAST_SITES} sites")
    agreed = masking(study, sites)
    wanted = {
        Key.SHARE_NUMBER: agreed.shares, Key.THRESHOLD: agreed.threshold,
        Key.CLIPPING_RANGE: agreed.clipping, Key.TARGET_RANGE: agreed.levels,
        Key.MOD_RANGE: agreed.modulus, Key.MAX_WEIGHT: agreed.most,
    }  # fmt: skip
    if any(configs.get(name) != value for name, value in wanted.items()):
        raise StepRefused(Code.BAD_REQUEST, "another masking than the study's")


def _check_unmasking(configs: ConfigRecord, own: int) -> None:
    """Refuse to give both halves of anybody's mask, or what would take off one's own.

    With the mask's seed and the pairs' keys of one site its update would lie open.
    """
    active, dead = configs.get(Key.ACTIVE_NODE_ID_LIST), configs.get(Key.DEAD_NODE_ID_LIST)
    if not isinstance(active, list) or not isinstance(dead, list):
        raise StepRefused(Code.BAD_REQUEST, "an unmasking without sites")
    if set(active) & set(dead) or own in dead or len(set(active)) < LEAST_SITES:
        raise StepRefused(Code.BAD_REQUEST, "an unmasking that would open one site's update")


def _masks(study: Study, update: SiteUpdate, request: StepRequest) -> RecordDict:
    """What Flower's masking takes: the changes, and the weight that it multiplies them with."""
    told = FitRes(
        status=FlowerStatus(Status.OK, ""),
        parameters=ndarrays_to_parameters(changes(update, request.arrays)),
        num_examples=int(min(round(update.weight), heaviest(study))),
        metrics={},
    )
    return fitres_to_recorddict(told, keep_input=False)


@contextmanager
def _rounding(site: Site, study: Study, key: StepKey) -> Iterator[None]:
    """Flower rounds with numpy's global generator: in a simulation its bits come from the seed."""
    if site.durable:
        yield
        return
    seeds = generator(study.seed, site.number, key.cycle, key.round, Purpose.MASK)
    before = np.random.get_state()
    np.random.seed(int(seeds.integers(2**32)))
    try:
        yield
    finally:
        np.random.set_state(before)
