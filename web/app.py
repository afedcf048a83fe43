"""The pages: a Flask app that stands behind the receiver. It starts no thread but the one that sends mail."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flask import Flask, request
from flask_bootstrap import Bootstrap5
from sqlalchemy import Engine
from werkzeug.middleware.proxy_fix import ProxyFix

from recipes.db import open_database
from recipes.mail import Mailer, Outbox
from recipes.settings import Settings
from recipes.vault import Vault
from recipes.wake import Waker
from web import display, errors, pages, static_files
from web.auth import add_auth
from web.choices import LiveChoices
from web.security import protect
from web.site import Site

_ROOT = Path(__file__).parent


class PagesApp(Flask):
    """Flask, whose log names a page that failed by its route: some addresses let in whoever reads them."""

    def log_exception(self, exc_info: Any) -> None:
        """Logs what was raised while a page was made."""
        self.logger.error("a page failed: %s %s", request.method, request.url_rule, exc_info=exc_info)


def create_app(
    settings: Settings,
    engine: Engine | None = None,
    vault: Vault | None = None,
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Flask:
    """The app for these settings. `app.extensions["pocketwire"]` is its Site.

    engine, vault: those of the settings if not given. now: gives the time, aware, in UTC.
    """
    app = PagesApp("web", template_folder=str(_ROOT.parent / "templates"), static_folder="static")
    engine = engine or open_database(settings.database)
    vault = vault or Vault.from_keys(settings.sealing_keys())
    app.extensions["pocketwire"] = Site(
        settings=settings,
        engine=engine,
        vault=vault,
        now=now,
        started_at=now(),
        wake=Waker(settings.wake_pipe),
        choices=LiveChoices(vault, settings),
        outbox=Outbox(Mailer(settings)),
    )
    app.config.update(
        SECRET_KEY=settings.signing_key(),
        BOOTSTRAP_SERVE_LOCAL=True,
    )
    app.jinja_env.trim_blocks = True
    app.jinja_env.lstrip_blocks = True
    protect(app, is_https=settings.public_url.startswith("https://"))
    Bootstrap5(app)  # type: ignore[no-untyped-call]
    add_auth(app, engine)
    display.add_to(app)
    static_files.add_to(app)
    errors.add_to(app)
    for blueprint in pages.BLUEPRINTS:
        app.register_blueprint(blueprint)
    _trust(app, settings.trusted_proxies)
    return app


def _trust(app: Flask, proxies: int) -> None:
    """Takes a browser's address from what this many proxies add to X-Forwarded-For, and nothing else from them.

    How browsers reach us says POCKETWIRE_PUBLIC_URL. With the scheme taken from X-Forwarded-Proto, every form would
    be refused behind a proxy that names itself as Host: the check of forms compares that with the referrer.
    """
    if proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=proxies, x_proto=0)  # type: ignore[method-assign]
