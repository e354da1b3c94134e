"""Budget policies: how one cycle's label budget is shared between the sites."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from strategies.budget.bandits import UCB, Thompson
from strategies.budget.class_deficit import ClassDeficit
from strategies.budget.coverage_deficit import CoverageDeficit
from strategies.budget.hours import Hours
from strategies.budget.learning_curve import LearningCurve
from strategies.budget.neyman import Neyman
from strategies.budget.policy import BudgetPolicy
from strategies.budget.safe import Safe
from strategies.budget.shares import Proportional, UncertaintyMass, Uniform
from strategies.budget.threshold import Threshold
from strategies.budget.worst_site import WorstSite

BUDGET: Mapping[str, Callable[..., BudgetPolicy]] = {
    "class-deficit": ClassDeficit,
    "coverage-deficit": CoverageDeficit,
    "hours": Hours,
    "learning-curve": LearningCurve,
    "neyman": Neyman,
    "proportional": Proportional,
    "safe": Safe,
    "thompson": Thompson,
    "threshold": Threshold,
    "ucb": UCB,
    "uncertainty-mass": UncertaintyMass,
    "uniform": Uniform,
    "worst-site": WorstSite,
}

__all__ = [
    "BUDGET",
    "UCB",
    "BudgetPolicy",
    "ClassDeficit",
    "CoverageDeficit",
    "Hours",
    "LearningCurve",
    "Neyman",
    "Proportional",
    "Safe",
    "Thompson",
    "Threshold",
    "UncertaintyMass",
    "Uniform",
    "WorstSite",
]
