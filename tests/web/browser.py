"""A browser for tests: a client that sends forms as pages do."""

import re
from collections.abc import Mapping
from html.parser import HTMLParser

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from recipes.models import Account


class Browser:
    """A client that sends the forms' token along, as pages do."""

    def __init__(self, client: FlaskClient) -> None:
        self.client = client
        self._tokens: dict[str, str] = {}

    def get(self, url: str) -> TestResponse:
        """The page."""
        return self.client.get(url, buffered=True)

    def post(self, url: str, form: Mapping[str, object] | None = None, **headers: str) -> TestResponse:
        """Sends a form."""
        return self.client.post(url, data={**(form or {}), "csrf_token": self.token(url)}, headers=headers)

    def token(self, url: str = "/account") -> str:
        """The token of this session's forms, from whichever page has one. It holds as long as the session."""
        with self.client.session_transaction() as session:
            known = self._tokens.get(session.get("csrf_token", ""))
        if known:
            return known
        for page in ("/account", "/sign-in", url):
            found = re.search(r'name="csrf_token" value="([^"]+)"', self.client.get(page).text)
            if found:
                with self.client.session_transaction() as session:
                    return self._tokens.setdefault(session["csrf_token"], found[1])
        raise AssertionError("no form with a token")

    def sign_in(self, account: Account) -> None:
        """Signs in without the form, whose hash takes its time."""
        with self.client.session_transaction() as session:
            session["_user_id"] = account.fs_uniquifier
            session["_fresh"] = True

    def fields(self, url: str, form_id: str) -> dict[str, object]:
        """What a browser would send of a form of a page when nothing is touched."""
        reader = _FormReader(form_id)
        reader.feed(self.client.get(url).text)
        return dict(reader.fields)


class _FormReader(HTMLParser):
    """Reads one form's fields with what stands in them."""

    def __init__(self, form_id: str) -> None:
        super().__init__()
        self._form_id = form_id
        self._is_inside = False
        self._select = self._textarea = ""
        self.fields: dict[str, list[str]] = {}

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        if tag == "form":
            self._is_inside = given.get("id") == self._form_id
        if not self._is_inside:
            return
        name, value = given.get("name", ""), given.get("value", "")
        if tag == "select":
            self._select = name
            self.fields.setdefault(name, [])
        elif tag == "option" and ("selected" in given or not self.fields[self._select]):
            self.fields[self._select] = [value]
        elif tag == "textarea":
            self._textarea = name
            self.fields[name] = [""]
        elif tag == "input" and (given.get("type") not in ("radio", "checkbox") or "checked" in given):
            self.fields.setdefault(name, []).append(value)

    def handle_data(self, data: str) -> None:
        if self._is_inside and self._textarea:
            self.fields[self._textarea][0] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self._textarea = ""
        if tag == "form":
            self._is_inside = False
