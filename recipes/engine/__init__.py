"""The life of a run: fan_out, claim, perform, settle; and what a merchant may ask of one.

A clock (`recipes/clocks/`) decides who calls these and when; the run table is the truth.
"""

from recipes.engine.claiming import Claimed, claim
from recipes.engine.fanning_out import fan_out, has_work
from recipes.engine.holding import hold, release
from recipes.engine.limits import Limits
from recipes.engine.performing import Performed, Tools, perform
from recipes.engine.recovering import extend_leases, recover
from recipes.engine.requests import RunRequestError, cancel, mark_done, run_again
from recipes.engine.settling import settle

__all__ = [
    "Claimed",
    "Limits",
    "Performed",
    "RunRequestError",
    "Tools",
    "cancel",
    "claim",
    "extend_leases",
    "fan_out",
    "has_work",
    "hold",
    "mark_done",
    "perform",
    "recover",
    "release",
    "run_again",
    "settle",
]
