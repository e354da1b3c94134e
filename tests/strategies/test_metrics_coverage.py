"""95 % intervals hold the truth in 90 to 99 % of simulated studies with clustered patients."""

import math
from collections import defaultdict

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import norm

from protocol.sections import ClassName, Task
from strategies.metrics.combine import combine
from strategies.metrics.measure import measure

TASK = Task(classes=tuple(ClassName(name=n, definition="as it says") for n in ("no", "yes")))
STUDIES = 400


def a_site(rng, patients, distance, prevalence):
    """Binormal scores; 1 to 4 images of a patient share its label and 60 % of the variance."""
    patient = np.repeat(np.arange(patients), rng.integers(1, 5, size=patients))
    truth = (rng.random(patients) < prevalence)[patient].astype(int)
    noise = math.sqrt(0.6) * rng.normal(size=patients)[patient]
    score = distance * truth + noise + math.sqrt(0.4) * rng.normal(size=len(patient))
    odds = math.log(prevalence / (1 - prevalence))
    p = expit(distance * score - distance**2 / 2 + odds)
    return np.c_[1 - p, p], np.c_[1 - truth, truth], patient


def coverage(distances, patients, prevalence):
    """The share of studies whose interval holds the truth, by part."""
    rng = np.random.default_rng(1)
    truths = [float(norm.cdf(d / math.sqrt(2))) for d in distances]
    # every pair of a positive of one site and a negative of one site counts the same
    same = {"pooled": truths[0]} if len(set(distances)) == 1 else {}
    known = {"macro": float(np.mean(truths)), "worst": min(truths)} | same
    held = defaultdict(list)
    for _ in range(STUDIES):
        sites = {
            str(i): measure(
                *a_site(rng, patients, d, prevalence), TASK, clustered=True, unsettled=0, rng=rng
            )
            for i, d in enumerate(distances)
        }
        results = combine(sites, TASK)
        for part, truth in known.items():
            found = getattr(results, part)["auroc"]
            held[part].append(found.low <= truth <= found.high)
        for i, truth in enumerate(truths):
            found = results.sites[str(i)]["auroc"]
            if math.isfinite(found.low):
                held["site"].append(found.low <= truth <= found.high)
    return {part: float(np.mean(h)) for part, h in held.items()}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("distances", "patients", "prevalence"),
    [
        ((1.8,) * 4, 40, 0.3),  # about 12 patients of the class at a site
        ((1.8,) * 4, 150, 0.2),
        ((2.6,) * 4, 60, 0.15),  # AUROC 0.967, 9 patients of the class at a site
        ((1.2, 1.6, 2.0, 2.4), 100, 0.3),  # one site truly worse
    ],
)
def test_intervals_hold_the_true_auroc(distances, patients, prevalence):
    found = coverage(distances, patients, prevalence)
    print(distances, patients, prevalence, found)
    for part, share in found.items():
        # the worst site's interval is conservative by construction, and that is no defect
        assert 0.90 <= share <= (1.0 if part == "worst" else 0.99), (part, share)
