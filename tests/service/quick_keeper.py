"""The engine and who keeps it, without the web side; silence is taken for a hung engine after three seconds."""

import signal
import threading

from recipes.logs import set_up_logging
from recipes.service import EngineKeeper
from recipes.settings import load_settings

if __name__ == "__main__":
    set_up_logging()
    told_to_stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: told_to_stop.set())
    keeper = EngineKeeper(load_settings().sign_of_life, silent_seconds=3, grace_seconds=0.1)
    told_to_stop.wait()
    keeper.stop()
