"""Stylesheets and scripts: named by their content, so that browsers may keep them, and sent packed."""

import gzip
import hashlib
from datetime import timedelta
from functools import cache
from pathlib import Path

from flask import Flask, Response, request, url_for

_FOLDER = Path(__file__).parent / "static"
_PACKED = ("text/css", "text/javascript", "image/svg+xml")
_ENDPOINTS = ("static", "bootstrap.static")


def add_to(app: Flask) -> None:
    """Gives the templates `asset(name)` and `logo_of(app)`, and packs what browsers can unpack."""
    app.config["SEND_FILE_MAX_AGE_DEFAULT"] = timedelta(days=365)
    app.jinja_env.globals.update(asset=asset, logo_of=logo_of)
    app.after_request(_pack)


def asset(name: str) -> str:
    """The address of one of our files, with a mark of its content."""
    return url_for("static", filename=name, v=_mark(name))


def logo_of(app: str | None) -> str:
    """The address of a service's logo."""
    name = f"logos/{app}.svg"
    return asset(name if (_FOLDER / name).is_file() else "logos/service.svg")


@cache
def _mark(name: str) -> str:
    return hashlib.sha256((_FOLDER / name).read_bytes()).hexdigest()[:10]


def _pack(response: Response) -> Response:
    # Pages stay as they are: packing would tell by its length what a page with a secret token repeats.
    if request.endpoint not in _ENDPOINTS or response.status_code != 200 or response.mimetype not in _PACKED:
        return response
    response.vary.add("Accept-Encoding")
    if request.accept_encodings["gzip"] > 0:
        response.direct_passthrough = False
        packed = _packed(request.path, response.headers.get("ETag"), response.get_data())
        response.set_data(packed)
        response.headers["Content-Encoding"] = "gzip"
    return response


_kept: dict[str, tuple[str | None, bytes]] = {}


def _packed(path: str, etag: str | None, data: bytes) -> bytes:
    kept = _kept.get(path)
    if kept is None or kept[0] != etag:
        kept = _kept[path] = (etag, gzip.compress(data, 9, mtime=0))
    return kept[1]
