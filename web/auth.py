"""Who is signed in, and for which store: Flask-Security on the accounts' own table."""

from datetime import timedelta
from typing import Any

from flask import Flask, abort, current_app, g, redirect, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_security import (
    LoginForm,
    RoleMixin,
    Security,
    SQLAlchemySessionUserDatastore,
    UserMixin,
    current_user,
)
from sqlalchemy import Engine, select
from sqlalchemy.orm import DeclarativeBase, scoped_session, sessionmaker

from recipes.accounts import HASHING, SHORTEST_PASSWORD, merchants_of
from recipes.db import reading
from recipes.models import Account, Merchant
from web import forgotten
from web.devices import add_devices, known_device
from web.site import site
from web.throttle import email_of, sign_in_limits

# Everything else asks for a sign-in. A test walks all routes and holds this list against them.
PUBLIC = frozenset(
    {
        "static",
        "bootstrap.static",
        "health.healthz",
        "security.login",
        "security.logout",
        "security.forgot_password",
        "security.reset_password",
        "first_run.welcome",
    }
)


class _Base(DeclarativeBase):
    """A registry of its own: the tables belong to recipes.models."""


class User(UserMixin, _Base):
    """An account, as Flask-Security wants to see it."""

    __table__ = Account.__table__  # type: ignore[attr-defined]

    @property
    def roles(self) -> list[RoleMixin]:  # type: ignore[override]
        """None: everyone who belongs to a store may do everything in it."""
        return []


class Role(RoleMixin):
    """Flask-Security asks for one; there are no roles here."""


class Accounts(SQLAlchemySessionUserDatastore):
    """Finds and stores accounts in sessions of a moment.

    A transaction that has read and then writes fails at once on SQLite if another wrote meanwhile. So every read
    ends its session, and what is put later is written by a transaction that begins with the write.
    """

    def __init__(self, engine: Engine) -> None:
        self.session = scoped_session(sessionmaker(engine, expire_on_commit=False))
        super().__init__(self.session, User, Role)

    def find_user(self, case_insensitive: bool = False, **kwargs: Any) -> UserMixin | None:
        """The account with this attribute."""
        found = super().find_user(case_insensitive, **kwargs)
        self.session.remove()
        return found


def signed_in() -> User | None:
    """Who is signed in."""
    user = current_user._get_current_object()
    return user if isinstance(user, User) else None


def user_of(email: str) -> User:
    """The account with this e-mail address, as Flask-Security signs it in."""
    found = current_app.extensions["security"].datastore.find_user(email=email)
    if not isinstance(found, User):
        raise LookupError("there is no such account")
    return found


class SignInForm(LoginForm):
    """Sign-in that slows down whoever guesses."""

    def validate(self, **kwargs: Any) -> bool:
        """Whether the e-mail and password are an account's, and were not guessed at too often."""
        email = email_of(self.email.data)
        limits = sign_in_limits(request.remote_addr, email, known_device(email))
        if not site().sign_ins.admit(limits, site().now()):
            self.form_errors.append("Too many tries. Wait ten minutes, then try again.")
            return False
        is_valid: bool = super().validate(**kwargs)
        if is_valid:
            site().sign_ins.take_back(limits)
        return is_valid


def add_auth(app: Flask, engine: Engine) -> None:
    """Adds sign-in, sign-out and both ways to another password; closes every page that is not PUBLIC."""
    app.config.update(_SETTINGS)
    app.config.update(forgotten.SETTINGS)
    accounts = Accounts(engine)
    security = Security(
        app,
        accounts,
        login_form=SignInForm,
        forgot_password_form=forgotten.ForgottenForm,
        mail_util_cls=forgotten.Mails,
    )
    forgotten.add_to(security)
    security.want_json(lambda _request: False)
    # Only a session signs in: without this a token in an address or a header would as well.
    security.login_manager.request_loader(lambda _request: None)  # type: ignore[no-untyped-call]
    # There are no roles to load, least of all for every static file.
    security.principal.identity_loaders.clear()
    add_devices(app)
    app.before_request(_require_member)
    app.jinja_env.globals["is_new_here"] = _is_new_here

    @app.teardown_appcontext
    def end_session(_error: BaseException | None) -> None:
        accounts.session.remove()


def _require_member() -> ResponseReturnValue | None:
    if request.endpoint is None or request.endpoint in PUBLIC:
        return None
    user = signed_in()
    if user is None:
        wanted = request.full_path.rstrip("?") if request.method == "GET" else None
        return redirect(url_for("security.login", next=wanted))
    with reading(site().engine) as stored:
        g.merchants = merchants_of(stored, user.id)
    if not g.merchants:
        abort(403, "Your account does not belong to any store yet. Ask whoever runs this installation.")
    g.merchant = _chosen(g.merchants)
    return None


def _is_new_here() -> bool:
    with reading(site().engine) as stored:
        return stored.execute(select(Account.__table__.c.id).limit(1)).first() is None  # type: ignore[attr-defined]


def _chosen(merchants: list[Merchant]) -> Merchant:
    chosen = session.get("merchant_id")
    return next((merchant for merchant in merchants if merchant.id == chosen), merchants[0])


_SETTINGS = {
    "SECURITY_PASSWORD_HASH": "argon2",
    "SECURITY_PASSWORD_SCHEMES": ["argon2"],
    "SECURITY_PASSWORD_SINGLE_HASH": {"argon2"},
    "SECURITY_PASSWORD_HASH_PASSLIB_OPTIONS": {f"argon2__{name}": value for name, value in HASHING.items()},
    "SECURITY_PASSWORD_LENGTH_MIN": SHORTEST_PASSWORD,
    "SECURITY_EMAIL_VALIDATOR_ARGS": {"check_deliverability": False},
    "SECURITY_LOGIN_URL": "/sign-in",
    "SECURITY_LOGOUT_URL": "/sign-out",
    "SECURITY_CHANGE_URL": "/account/password",
    "SECURITY_POST_LOGOUT_VIEW": "/sign-in",
    "SECURITY_POST_CHANGE_VIEW": "/account",
    "SECURITY_CHANGEABLE": True,
    "SECURITY_SEND_PASSWORD_CHANGE_EMAIL": False,
    "SECURITY_LOGIN_USER_TEMPLATE": "account/sign_in.html",
    "SECURITY_CHANGE_PASSWORD_TEMPLATE": "account/password.html",
    "SECURITY_RETURN_GENERIC_RESPONSES": True,
    "SECURITY_JOIN_USER_ROLES": False,
    "SECURITY_API_ENABLED_METHODS": ["session"],
    "SECURITY_STATIC_FOLDER": None,
    # No page asks for the password a second time; a negative span takes that route away.
    "SECURITY_FRESHNESS": timedelta(days=-1),
    "SECURITY_CLI_USERS_NAME": None,
    "SECURITY_CLI_ROLES_NAME": None,
    "SECURITY_MSG_GENERIC_AUTHN_FAILED": ("The e-mail or the password is wrong.", "error"),
    "SECURITY_MSG_PASSWORD_CHANGE": ("Your password is changed. Other devices are signed out.", "success"),
    "SECURITY_MSG_INVALID_PASSWORD": ("That is not your present password.", "error"),
    "SECURITY_MSG_PASSWORD_NOT_PROVIDED": ("The password is empty.", "error"),
    "SECURITY_MSG_PASSWORD_IS_THE_SAME": ("The new password has to differ from the present one.", "error"),
    "SECURITY_MSG_RETYPE_PASSWORD_MISMATCH": ("The two new passwords are not the same.", "error"),
    "SECURITY_MSG_EMAIL_NOT_PROVIDED": ("The e-mail address is empty.", "error"),
    "SECURITY_MSG_PASSWORD_INVALID_LENGTH": (
        f"The password has to be at least {SHORTEST_PASSWORD} characters long.",
        "error",
    ),
    "REMEMBER_COOKIE_DURATION": timedelta(days=30),
}
