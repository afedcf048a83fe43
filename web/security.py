"""What every answer carries: a strict content policy, the usual headers, and a check of every form's token."""

from flask import Flask, Response, request
from flask_wtf import CSRFProtect

# Nothing inline and nothing from elsewhere. `data:` is for the small pictures in Bootstrap's stylesheet.
CONTENT_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
LARGEST_FORM = 512 * 1024
# Their addresses let in whoever has them: no request that comes from such a page may tell where it comes from.
_SECRET_ADDRESSES = frozenset({"security.reset_password", "first_run.welcome"})


def protect(app: Flask, *, is_https: bool) -> None:
    """Sets cookies' flags, the check of forms' tokens and the headers. is_https: how browsers reach us."""
    app.config.update(
        SESSION_COOKIE_NAME="pocketwire",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=is_https,
        REMEMBER_COOKIE_NAME="pocketwire-remember",
        REMEMBER_COOKIE_HTTPONLY=True,
        REMEMBER_COOKIE_SAMESITE="Lax",
        REMEMBER_COOKIE_SECURE=is_https,
        MAX_CONTENT_LENGTH=LARGEST_FORM,
        MAX_FORM_MEMORY_SIZE=LARGEST_FORM,
        # A form that stood open over lunch still counts; its token ends with the session.
        WTF_CSRF_TIME_LIMIT=None,
    )
    CSRFProtect(app)  # type: ignore[no-untyped-call]

    @app.after_request
    def add_headers(response: Response) -> Response:
        headers = response.headers
        headers["Content-Security-Policy"] = CONTENT_POLICY
        headers["X-Content-Type-Options"] = "nosniff"
        headers["X-Frame-Options"] = "DENY"
        headers["Referrer-Policy"] = "no-referrer" if request.endpoint in _SECRET_ADDRESSES else "same-origin"
        headers["Cross-Origin-Opener-Policy"] = "same-origin"
        headers["Permissions-Policy"] = "camera=(), geolocation=(), microphone=()"
        if is_https:
            headers["Strict-Transport-Security"] = "max-age=31536000"
        if not _is_static():
            response.cache_control.private = True
            response.cache_control.no_store = True
        return response


def _is_static() -> bool:
    return request.endpoint in ("static", "bootstrap.static")
