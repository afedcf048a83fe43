"""Which processes there are, and which of them are killed together how often."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Death:
    """So many workers and receivers, any of them, at once; `database`: while the server is away, killed as well."""

    workers: int = 0
    receivers: int = 0
    database: bool = False


@dataclass(frozen=True)
class Topology:
    """The folders of those that receive and of those that work, each a machine's.

    role: what a worker is forked as. deaths: each comes as often as it stands there. share_at_work: before how many
    all are let come to work first. longest_life: seconds from then, or from the start, until the next. longest_lock:
    seconds for which the database is locked now and then. rounds: how often each buyer may order from one receiver's
    start to its end, and `rest`: the seconds that its slowest thread waits between two orders.
    """

    receivers: tuple[str, ...]
    workers: tuple[str, ...]
    role: str
    deaths: tuple[Death, ...]
    share_at_work: float
    longest_life: float
    longest_lock: float
    rounds: int
    rest: float

    @property
    def is_alone(self) -> bool:
        """Whether there is one worker, which need not wait for what another had to be free."""
        return len(self.workers) == 1

    def without_database(self) -> "Topology":
        """The same where the server is not ours to kill."""
        kept = tuple(death for death in self.deaths if not death.database)
        return Topology(**vars(self) | {"deaths": kept})


# On SQLite both sides are on one machine.
EMBEDDED = Topology(
    receivers=("data",),
    workers=("data",),
    role="engine",
    deaths=(Death(workers=1),) * 5 + (Death(receivers=1),) * 3 + (Death(workers=1, receivers=1),) * 2,
    share_at_work=0,
    longest_life=0.06,
    longest_lock=0.05,
    rounds=1,
    rest=0.008,
)
CLUSTER = Topology(
    receivers=("receiver-1", "receiver-2"),
    workers=("worker-1", "worker-2", "worker-3"),
    role="worker",
    deaths=(
        *(Death(workers=1),) * 6,
        *(Death(receivers=1),) * 3,
        *(Death(workers=1, receivers=1),) * 2,
        Death(workers=3),
        Death(database=True),
        Death(database=True, workers=1),
        Death(database=True, receivers=1),
    ),
    share_at_work=0.8,
    longest_life=0.3,
    longest_lock=0.8,
    rounds=3,
    rest=0.12,
)
