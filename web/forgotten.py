"""Forgotten passwords: a link by mail, good once and for an hour, that leads to a form for another one."""

from datetime import timedelta
from typing import Any

from flask import request
from flask_security import ForgotPasswordForm, MailUtil, Security

from web.site import site
from web.throttle import Key, email_of, network_of

# Links that may be asked for in an hour.
MOST_BY_ADDRESS = 10
MOST_BY_EMAIL = 3

_ENDED = "This link is no longer good: it works once, for one hour. Ask for another one here."


class ForgottenForm(ForgotPasswordForm):
    """Asks for a link. It answers the same whether or not there is such an account."""

    is_answered = False

    def validate(self, **kwargs: Any) -> bool:
        """Whether a link is to be sent. Only what stands in `form_errors` is told to whoever asked."""
        problem = self._problem()
        if problem:
            self.form_errors.append(problem)
            return False
        self.is_answered = True
        by_email: dict[Key, int] = {("e-mail", email_of(self.email.data)): MOST_BY_EMAIL}
        # What was sent already is still good, so nobody can keep the owner of an account from a link.
        return site().forgotten.admit(by_email, site().now()) and super().validate(**kwargs)

    def _problem(self) -> str:
        if not site().outbox.is_on:
            return "No mail is sent from here."
        if not email_of(self.email.data):
            return "The e-mail address is not a valid one."
        by_address: dict[Key, int] = {("address", network_of(request.remote_addr)): MOST_BY_ADDRESS}
        if not site().forgotten.admit(by_address, site().now()):
            return "Too many tries. Wait an hour, then try again."
        return ""


class Mails(MailUtil):
    """Flask-Security's way to our outbox. That nobody waits for it hides, too, whether there is a mail to send."""

    def send_mail(
        self,
        template: str,
        subject: str,
        recipient: str | tuple[str, str],
        sender: str | tuple[str, str],
        body: str | None,
        html: str | None,
        **kwargs: Any,
    ) -> None:
        """Puts a mail in; the sender is that of the settings."""
        site().outbox.post(str(recipient), subject=subject, text=body or "")


def add_to(security: Security) -> None:
    """Gives the page and the mail what they need besides."""
    security.forgot_password_context_processor(lambda: {"sends_mail": site().outbox.is_on})
    # Flask-Security's own link is made from the request's Host, which anybody can forge.
    security.mail_context_processor(lambda: {"public_url": site().settings.public_url})
    # With and without an account one hash of the same kind is made, so that the time tells nothing.
    security.hashing_context = security.pwd_context


SETTINGS = {
    "SECURITY_RECOVERABLE": True,
    "SECURITY_RESET_URL": "/forgotten-password",
    "SECURITY_RESET_PASSWORD_WITHIN": timedelta(hours=1),
    "SECURITY_AUTO_LOGIN_AFTER_RESET": False,
    "SECURITY_POST_RESET_VIEW": "/sign-in",
    "SECURITY_FORGOT_PASSWORD_TEMPLATE": "account/forgotten.html",
    "SECURITY_RESET_PASSWORD_TEMPLATE": "account/new_password.html",
    "SECURITY_EMAIL_TEMPLATE_PASSWORD_RESET": "account/forgotten_mail",
    "SECURITY_EMAIL_SUBJECT_PASSWORD_RESET": "Choose a new password for Pocketwire",
    "SECURITY_EMAIL_HTML": False,
    "SECURITY_SEND_PASSWORD_RESET_NOTICE_EMAIL": False,
    "SECURITY_MSG_PASSWORD_RESET_REQUEST": (
        "If there is an account for this address, a mail with a link is on its way. The link works once, for one hour.",
        "success",
    ),
    "SECURITY_MSG_PASSWORD_RESET_NO_LOGIN": (
        "Your password is changed, and all devices are signed out. Sign in with it.",
        "success",
    ),
    "SECURITY_MSG_PASSWORD_RESET_EXPIRED": (_ENDED, "error"),
    "SECURITY_MSG_INVALID_RESET_PASSWORD_TOKEN": (_ENDED, "error"),
}
