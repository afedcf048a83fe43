"""Browsers that have signed in before: each keeps a cookie of its own for the account, also when signed out.

Whoever guesses has none, so guesses never shut out whoever has (OWASP's "device cookies").
"""

import secrets
from hashlib import sha256
from typing import Any

from flask import Flask, Response, after_this_request, current_app, request
from flask_security import UserMixin, password_reset, user_authenticated
from itsdangerous import BadSignature, Signer

COOKIE = "pocketwire-device"
MAX_AGE_SECONDS = 365 * 24 * 60 * 60


def add_devices(app: Flask) -> None:
    """From now on a browser is known by whoever has signed in with it last, or chosen another password by mail."""
    user_authenticated.connect(remember_device, app)
    # Who had to choose another password had often tried too many before.
    password_reset.connect(remember_device, app)


def known_device(email: str) -> str | None:
    """This browser's number, if the account of this address (as accounts keep it) signed in with it last."""
    try:
        return _signer(email).unsign(request.cookies.get(COOKIE, "")).decode()
    except BadSignature:
        return None


def remember_device(_app: Flask, user: UserMixin, **_more: Any) -> None:
    """Sets the cookie with the present answer."""
    value = _signer(user.email).sign(secrets.token_hex(16)).decode()

    @after_this_request
    def set_cookie(response: Response) -> Response:
        response.set_cookie(
            COOKIE,
            value,
            max_age=MAX_AGE_SECONDS,
            secure=current_app.config["SESSION_COOKIE_SECURE"],
            httponly=True,
            samesite="Lax",
        )
        return response


def _signer(email: str) -> Signer:
    # The address is part of the signature's key, so it does not stand in the cookie.
    key = current_app.config["SECRET_KEY"]
    return Signer(key, salt=f"device of {email}", key_derivation="hmac", digest_method=sha256)
