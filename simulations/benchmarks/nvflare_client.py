"""One NVFLARE client that trains as a site of the plain loop does.

NVFLARE runs this file in the peer's environment:

    nvflare_client.py WORK

WORK is a folder with `study.json` and `work.npz`, as `nvflare_rounds.py` writes them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import nvflare.client as flare
import torch

from protocol.seeds import Purpose, generator
from protocol.study import parse
from simulations.benchmarks.nvflare_net import Net
from simulations.benchmarks.plain_loop import normal, train_site


def main(work: Path) -> None:
    """Answer every round with the weights after this site's local epochs."""
    torch.set_num_threads(1)
    study = parse(json.loads((work / "study.json").read_text(encoding="utf-8")))
    flare.init()
    number = int(flare.get_site_name().rpartition("-")[2]) - 1
    with np.load(work / "work.npz") as content:
        images = normal(content["images"][content[f"labeled-{number}"]])
        targets = content[f"targets-{number}"]
        names = [name for name in content.files if name.startswith("first/")]
        first = {n.replace("first/", "net."): torch.from_numpy(content[n]) for n in names}
    model = Net(str(work / "study.json"))
    while flare.is_running():
        message = flare.receive()
        round_ = message.current_round
        start = {n: torch.from_numpy(np.array(a)) for n, a in (message.params or {}).items()}
        if round_ == 0:
            start = first
        elif all(torch.equal(start[n], weights) for n, weights in first.items()):
            raise RuntimeError("the server sent the first weights again: it averaged nothing")
        model.load_state_dict(start)
        rng = generator(study.seed, number, 0, round_, Purpose.TRAIN)
        train_site(model, images, targets, study, round_, rng, None)
        flare.send(
            flare.FLModel(
                params={n: t.clone() for n, t in model.state_dict().items()},
                meta={"NUM_STEPS_CURRENT_ROUND": len(images)},
            )
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
