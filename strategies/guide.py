"""When to use which row of the tables, and what it costs; the pages of docs/strategies/ print it.

n cases in the pool, m labeled, k picks, d features, c classes; K sites.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Use:
    """One row.

    Attributes:
        when: to use it, and when not to.
        cost: in time, beside the report's own pass over the pool, and in memory where that counts.
    """

    when: str
    cost: str


_SCORE = "O(n c), then O(n) to take the k best."
_LOCAL = "One round of the site's training and one pass over the pool for the local model; "
_SCRATCH = "A training on the site's labels alone (at most 500 steps) and a pass over the pool; "

QUERY_USE: Mapping[str, Use] = {
    "random": Use(
        "The first cycle, before any label, and the arm that every other is held against. In a "
        "study whose numbers must be beyond argument it is never wrong.",
        "O(n).",
    ),
    "least-confidence": Use(
        "With two classes the same ranking as entropy and margin. Not for the first hundred "
        "labels, and not for large batches: it takes near-duplicates.",
        _SCORE,
    ),
    "margin": Use(
        "Many classes, where only the best two are confused. Otherwise as least-confidence.", _SCORE
    ),
    "entropy": Use(
        "A trained model, small batches, a score that can be explained to a reader. Alone it is "
        "weak at the start and takes near-duplicates; `stochastic` and `class-balanced` mend that.",
        _SCORE,
    ),
    "bald": Use(
        "Networks with dropout, or the three models of a site, where noise of the labels must not "
        "be mistaken for something to learn.",
        "M passes over the pool under dropout and O(n M c).",
    ),
    "batchbald": Use(
        "As bald, for batches of up to some tens in which no two cases should tell the same.",
        "M passes over the pool and O(k n M c S), S joint outcomes, at most `limit` or `samples`.",
    ),
    "powerbald": Use(
        "As bald, for larger batches: chance spreads the picks at no cost.",
        "As bald, and O(n log k).",
    ),
    "stochastic": Use(
        "Any score in batches that are large against what is new in the pool.",
        "O(n) beside the inner score.",
    ),
    "threshold-random": Use(
        "Private studies whose epsilon is to hold for the choice of cases, too "
        '(`privacy.querying = "covered"`); otherwise another one asks better.',
        "O(n).",
    ),
    "coreset": Use(
        "The first labels of a study, and any budget where the pool must be covered; it needs no "
        "trained head and no second model. It looks at no doubt, and yet was not "
        "overtaken by the end in the confirmations on images. In the table of numbers it was lower "
        "than random, not beyond chance.",
        "O(n m d) once and O(n d) per pick; O(n) memory beside the features.",
    ),
    "badge": Use(
        "Many classes and a trained model: doubt and spread in one draw.",
        "O(n (c + d)) per pick, in time and in memory.",
    ),
    "typiclust": Use(
        "Very few labels and features that mean something before training, such as those of a "
        "pretrained network; on an untrained one's it has nothing to go by.",
        "O(n clusters d) per round of k-means, and O(d size^2) per cluster asked.",
    ),
    "federated-typiclust": Use(
        "As typiclust, where the sites have alike cases and should not each ask for the same "
        "kind. Where sites differ much there is little to coordinate.",
        "As typiclust, one further message per site and cycle, and k-means over the told clusters.",
    ),
    "probcover": Use(
        "Very few labels and features that mean something; as typiclust.",
        "O(n^2 d) time, O(n) memory beside the features.",
    ),
    "maxherding": Use(
        "Very few labels and features that mean something; less sensitive to its radius than "
        "probcover.",
        "O(n^2 d) once and O(n d) per case that could win a pick.",
    ),
    "alfa-mix": Use(
        "Some labels of every class, and a head whose decision is still easily moved.",
        "O(n c^2 d).",
    ),
    "class-balanced": Use(
        "A rare class that must be found: picks go to the class with the fewest labels, as the "
        "model sees it. The labels' shares are then not those of the patients, which calibration "
        "feels and ranks do not.",
        "O(n c + k log c) beside the inner strategy.",
    ),
    "cost-aware": Use(
        "A budget of minutes, where cases differ in how long they take. Where they take alike "
        "long, as on the benchmark's tracks, it picks what its inner strategy does.",
        "O(n) beside the inner score, and the site's reading times.",
    ),
    "fedal": Use(
        "As entropy, where sites differ: the local model's doubt counts, too.",
        f"{_LOCAL}O(n c).",
    ),
    "kafal": Use(
        "Strong label skew between sites, and some labels of most classes at each.",
        f"{_LOCAL}O(n c).",
    ),
    "logo": Use(
        "After the first cycles: own gradients for spread, the global model for doubt. Made for "
        "sites that differ; in the confirmations it was above random and below `ward` under label "
        "skew and where scanners differ, level with `ward` on blood cells, and with both in the "
        "table of numbers.",
        f"{_SCRATCH}k-means, O(rounds n k d).",
    ),
    "feal": Use(
        "Made for studies trained with `training.loss = 'evidential'`, which cost more here than "
        "its choice won; on the screen it did better with the plain loss. Hold it against random "
        "with the same loss.",
        f"{_LOCAL}O(n c) and a walk down the ranking, O(n d) per case tried.",
    ),
    "fairfal": Use(
        "After the first cycles, unequal classes: equal quotas, each filled with doubt and spread. "
        "In the confirmations it was above random under label skew and where the disease is rare, "
        "and below `ward` in both.",
        f"{_SCRATCH}O(n c) and k-center over 4 k cases.",
    ),
    "ward": Use(
        "The default: doubt in every part of the pool, in class quotas, for every cycle after the "
        "first. In the confirmations no published method was above it beyond chance by mean AUROC "
        "over the budget, at the end or at the worst site.",
        "O(20 n k g), g = 49 cells of an image in each channel, and the fit of a last layer.",
    ),
}
"""For every row of `QUERY`."""

_LIGHT = "Nothing at the sites; O(K) at the server."

BUDGET_USE: Mapping[str, Use] = {
    "uniform": Use(
        "The default, and what every other policy is held against. In a published measurement "
        "(Kim, AAAI 2025) budgets steered by uncertainty alone were often worse.",
        _LIGHT,
    ),
    "proportional": Use(
        "Pools of unequal size that should be read to the same share. Small sites get little.",
        _LIGHT,
    ),
    "uncertainty-mass": Use(
        "To be compared with, or with little trust: it sends the budget to the site that is "
        "unsure, whether reading helps there or not.",
        "O(K bins) at the server.",
    ),
    "threshold": Use(
        "To be compared with: what one pool of all sites would have asked for. It has the same "
        "fault as uncertainty-mass, and no floor but the study's.",
        "O(K bins) at the server.",
    ),
    "neyman": Use(
        "Estimating a share over all sites with unequal minutes; for training a model, as "
        "uncertainty-mass.",
        "O(K bins) at the server.",
    ),
    "hours": Use(
        "Few physicians' hours at some sites: the budget goes where it can be read. It steers by "
        "uncertainty within these bounds.",
        "A linear programme of K bins variables: some tenths of a second for 50 sites.",
    ),
    "class-deficit": Use(
        "A class that lacks labels at most sites, and sites that differ in having it.",
        _LIGHT,
    ),
    "coverage-deficit": Use(
        "With `federated-typiclust`: kinds of cases that few sites have and nobody has labeled "
        "yet. It looks at kinds alone, not at whether the model errs on them.",
        "Nothing at the sites beside the strategy; k-means over the told clusters at the server.",
    ),
    "learning-curve": Use(
        "Long studies with an exploration share, unequal minutes per reading, and enough cycles "
        "for a curve: more losses than sites and two more.",
        "Thirty small least-squares fits at the server.",
    ),
    "ucb": Use(
        "Many cycles and rewards that change as pools drift; it tries every site again and again.",
        _LIGHT,
    ),
    "thompson": Use(
        "As ucb, with chance in place of a bound.",
        "O(K) per unit of the budget, at most 2,000.",
    ),
    "safe": Use(
        "Whenever uniform is to be left at all: it moves budget only within bounds, on gain "
        "measured on fresh exploration labels, and shrinks back under noise.",
        "Small least-squares fits at the server.",
    ),
    "worst-site": Use(
        "A promise to the site that is served worst; it asks for no gain, so set a floor.",
        _LIGHT,
    ),
}
"""For every row of `BUDGET`."""
