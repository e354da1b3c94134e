"""Budget policies: how one cycle's label budget is shared between the sites."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from strategies.budget.policy import BudgetPolicy
from strategies.budget.shares import Proportional, UncertaintyMass, Uniform

BUDGET: Mapping[str, Callable[..., BudgetPolicy]] = {
    "proportional": Proportional,
    "uncertainty-mass": UncertaintyMass,
    "uniform": Uniform,
}

__all__ = ["BUDGET", "BudgetPolicy", "Proportional", "UncertaintyMass", "Uniform"]
