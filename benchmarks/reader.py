"""Someone who pages through all events of a store. Run as `python -m benchmarks.reader PORT EMAIL PASSWORD`.

It goes on until it is ended, from the newest page on and again from there once it has read `PAGES`; then it prints how
many pages it read.
"""

import re
import signal
import sys
from types import FrameType

import requests

PAGES = 200


def main(port: int, email: str, password: str) -> None:
    """Signs in, and reads until SIGTERM."""
    session = requests.Session()
    site = f"http://127.0.0.1:{port}"
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', session.get(f"{site}/sign-in", timeout=30).text)
    form = {"email": email, "password": password, "csrf_token": token[1] if token else ""}
    session.post(f"{site}/sign-in", data=form, headers={"Referer": f"{site}/sign-in"}, timeout=30)
    read = 0

    def tell(_number: int, _frame: FrameType | None) -> None:
        print(read, flush=True)
        sys.exit(0)

    signal.signal(signal.SIGTERM, tell)
    before = ""
    while True:
        page = session.get(f"{site}/activity{before}", timeout=30)
        page.raise_for_status()
        older = re.search(r'href="/activity(\?[^"]*before=\d+)"', page.text)
        if "/sign-in" in page.url:
            raise RuntimeError("the reader was not let in")
        read += 1
        before = older[1].replace("&amp;", "&") if older and read % PAGES else ""


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3])
