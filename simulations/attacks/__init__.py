"""Attacks on a simulated federation, by name: one site, drawn by the seed, does not play fair."""

from __future__ import annotations

from collections.abc import Mapping

from simulations.attacks.attack import Attack
from simulations.attacks.backdoor import backdoor, quiet
from simulations.attacks.labels import next_class
from simulations.attacks.reports import inflate
from simulations.attacks.updates import free_ride, noise, stretched, withhold

ATTACKS: Mapping[str, Attack] = {
    "label-flip": Attack("its readers answer with the next class", belief=next_class),
    "scale": Attack("its update is stretched tenfold", forgery=stretched(10.0)),
    "sign-flip": Attack("its update points the other way", forgery=stretched(-1.0)),
    "replace": Attack("it sends random arrays", forgery=noise),
    "backdoor": Attack(
        "it teaches the model a mark that means one class", forgery=backdoor, backdoor=True
    ),
    "quiet-backdoor": Attack(
        "it teaches that mark in updates no longer than honest ones", forgery=quiet, backdoor=True
    ),
    "inflate": Attack("it reports all its cases as most uncertain", forgery=inflate),
    "free-rider": Attack("it trains nothing and claims the weight", forgery=free_ride),
    "withhold": Attack("it sends no update: what its labels were worth", forgery=withhold),
}

__all__ = ["ATTACKS", "Attack"]
