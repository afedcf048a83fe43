"""What the receiver is measured against, under the same server with the same settings.

Run as `python -m benchmarks.rivals verifying|one_transaction PORT`.
"""

import os
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from flask import Flask, Response, request
from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server import Server
from sqlalchemy import Engine
from sqlmodel import SQLModel

from recipes.db import open_database, transaction
from recipes.models import Endpoint, Event, Merchant
from recipes.pocketsflow.signature import is_signed_by
from recipes.service import BLOCKING_THREADS

PATH = "/hooks/rival"
SECRET = "a rival's secret"  # noqa: S105 - signs deliveries to nobody
DATABASE = "RIVAL_DATABASE"
_STORED = b'{"status": "stored", "message": "Stored."}\n'


def verifying() -> Callable[..., Iterable[bytes]]:
    """The limit of the stack: reads the body, compares the signature, answers. Nothing is stored."""

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        is_right = is_signed_by(SECRET, body, environ["HTTP_X_POCKETSFLOW_SIGNATURE"])
        start_response(
            "200 OK" if is_right else "401 Unauthorized",
            [("Content-Type", "application/json"), ("Content-Length", str(len(_STORED)))],
        )
        return [_STORED]

    return application


def one_transaction() -> Flask:
    """`storing`, as Granian makes it: in a new database where RIVAL_DATABASE says."""
    return storing(open_database(f"sqlite:///{os.environ[DATABASE]}"))


def storing(database: Engine) -> Flask:
    """What everyone writes: a route that stores the delivery through the ORM, in a transaction of its own.

    Into the same tables, with the same synchronous=FULL. No identity is looked up: a duplicate is stored twice.
    """
    now = datetime.now(UTC)
    SQLModel.metadata.create_all(database)
    with transaction(database) as session:
        session.add(Merchant(id=1, name="Rival", created_at=now))
        session.flush()
        session.add(Endpoint(id=1, merchant_id=1, token="rival", created_at=now))
    app = Flask("rival")

    @app.post(PATH)
    def receive() -> Response:
        body, now = request.get_data(), datetime.now(UTC)
        if not is_signed_by(SECRET, body, request.headers["X-Pocketsflow-Signature"]):
            return Response(status=401)
        payload: dict[str, Any] = request.get_json()
        with transaction(database) as session:
            session.add(
                Event(
                    merchant_id=1,
                    endpoint_id=1,
                    mode="live",
                    type=request.headers["X-Pocketsflow-Event"],
                    subject=payload["customer"]["email"],
                    occurred_at=now,
                    received_at=now,
                    body=body,
                )
            )
        return Response(_STORED, content_type="application/json")

    return app


def main(name: str, port: int) -> None:
    """Serves one of them until a signal."""
    Server(
        f"benchmarks.rivals:{name}",
        address="127.0.0.1",
        port=port,
        interface=Interfaces.WSGI,
        factory=True,
        workers=1,
        blocking_threads=BLOCKING_THREADS,
        log_level=LogLevels.error,
    ).serve()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
