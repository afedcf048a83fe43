"""`pocketwire worker`, but one that notices sooner that another is gone: the tests do not wait two minutes."""

from recipes.clocks.distributed import Rhythm
from recipes.engine_process import run_worker
from recipes.logs import set_up_logging
from recipes.settings import load_settings

if __name__ == "__main__":
    set_up_logging()
    rhythm = Rhythm(lease=2.0, heartbeat=0.5, poll=0.2, recovery="* * * * * *", upkeep="* * * * * *")
    run_worker(load_settings(), rhythm=rhythm)
