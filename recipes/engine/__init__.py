"""The life of a run: fan_out, claim, perform, settle; and what a merchant may ask of one.

A clock (`recipes/clocks/`) decides who calls these and when; the run table is the truth.
"""

from recipes.engine.claiming import LEASE, claim, connections_due
from recipes.engine.courses import courses
from recipes.engine.delaying import end_waits, has_waits_over
from recipes.engine.fanning_out import fan_out, has_events, has_work
from recipes.engine.holding import hold, refused_reason, release
from recipes.engine.kept import has_kept_work, make_kept_runs
from recipes.engine.late import is_late, run_late
from recipes.engine.limits import Limits, SharedLimits
from recipes.engine.loading import Claimed
from recipes.engine.performing import Performed, Tools, ever_barer, perform
from recipes.engine.recovering import extend_leases, give_back, is_held, mend_due_times, recover
from recipes.engine.requests import (
    GoneOn,
    RunRequestError,
    UndoneSince,
    answer,
    cancel,
    mark_done,
    run_again,
)
from recipes.engine.settling import settle
from recipes.engine.suspending import resume, suspend

__all__ = [
    "LEASE",
    "Claimed",
    "GoneOn",
    "Limits",
    "Performed",
    "RunRequestError",
    "SharedLimits",
    "Tools",
    "UndoneSince",
    "answer",
    "cancel",
    "claim",
    "connections_due",
    "courses",
    "end_waits",
    "ever_barer",
    "extend_leases",
    "fan_out",
    "give_back",
    "has_events",
    "has_kept_work",
    "has_waits_over",
    "has_work",
    "hold",
    "is_held",
    "is_late",
    "make_kept_runs",
    "mark_done",
    "mend_due_times",
    "perform",
    "recover",
    "refused_reason",
    "release",
    "resume",
    "run_again",
    "run_late",
    "settle",
    "suspend",
]
