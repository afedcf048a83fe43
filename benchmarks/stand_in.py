"""A service on loopback that takes 50 ms to answer and notes every call. Run as `python -m benchmarks.stand_in PORT`.

It answers as Mailchimp does when a subscriber is set. GET /calls tells what came since it was last asked:
[when, on the monotonic clock; the path's last part] for each.
"""

import asyncio
import json
import sys
import time

SECONDS = 0.05
_ANSWER = json.dumps({"id": "1", "email_address": "a@example.com", "status": "subscribed"}).encode()


class _Conversation(asyncio.Protocol):
    def __init__(self, calls: list[tuple[float, str]]) -> None:
        self._calls = calls
        self._came = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what a stream server is always given
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._came += data
        head, found, body = self._came.partition(b"\r\n\r\n")
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        if not found or len(body) < int(length or 0):
            return
        self._came = b""
        path = head.split(b" ", 2)[1].partition(b"?")[0].decode()
        if path == "/calls":
            told = json.dumps(self._calls).encode()
            self._calls.clear()
            self._answer(told)
            return
        self._calls.append((time.monotonic(), path.rpartition("/")[2]))
        asyncio.get_running_loop().call_later(SECONDS, self._answer, _ANSWER)

    def _answer(self, body: bytes) -> None:
        self._transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        )


async def _serve(port: int) -> None:
    calls: list[tuple[float, str]] = []
    server = await asyncio.get_running_loop().create_server(lambda: _Conversation(calls), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
