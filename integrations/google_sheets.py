"""Google Sheets: a row for each order, in a spreadsheet that the merchant shares with a service account."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import gspread
import requests
from google.auth.exceptions import RefreshError, TransportError
from google.auth.transport.requests import AuthorizedSession, Request
from gspread.urls import DRIVE_FILES_API_V3_URL
from pydantic import SecretStr, field_validator

from integrations.deadline import TIMEOUTS, Timeouts, limited
from integrations.errors import ActionError, Permanent, Temporary, Unauthorized
from integrations.failures import HttpError, excerpt, http_error, redact, retry_after
from integrations.google import ServiceAccount, moved, read_key_file
from integrations.kit import Call, Form, Integration, Option, Outcome, action, choice, document, pairs, text
from integrations.worksheet import Worksheet

TITLE = "Google Sheets"
_BASE = "https://sheets.googleapis.com"
_SCOPES = (
    "https://www.googleapis.com/auth/spreadsheets",
    "https://www.googleapis.com/auth/drive.metadata.readonly",
)
_MOST_SPREADSHEETS, _MOST_PAGES = 1000, 20  # a page may hold none and still have a next
_QUOTA_WAIT = timedelta(seconds=60)  # the quota is counted by the minute, and Google sends no Retry-After


class Credentials(Form):
    """What a connection needs."""

    service_account: SecretStr = document(
        "Service account key", help="The whole JSON file that Google gave you when you made the key."
    )

    @field_validator("service_account", mode="after")
    @classmethod
    def _is_a_key_file(cls, value: SecretStr) -> SecretStr:
        read_key_file(value.get_secret_value())
        return value


class _OneAttempt(gspread.HTTPClient):
    """The vendor's client, save for how it sends: no redirect is followed, and a refusal is always an HttpError.

    Its own reading of a refusal raises TypeError where `error` is a text, and loses the status of a page of HTML.
    """

    def __init__(self, account: ServiceAccount, base: str, timeouts: Timeouts) -> None:
        # The session must not renew a refused token and send again by itself.
        tokens = Request(limited(requests.Session(), timeouts))
        session = AuthorizedSession(account, refresh_status_codes=(), auth_request=tokens)
        super().__init__(account, limited(session, timeouts))
        self.account = account
        self._base = base

    def request(
        self,
        method: str,
        endpoint: str,
        params: Any = None,
        data: Any = None,
        json: Any = None,
        files: Any = None,
        headers: Any = None,
    ) -> requests.Response:
        """The answer if it is 2xx. Raises HttpError, requests' own and google-auth's."""
        answer: requests.Response = self.session.request(
            method,
            moved(endpoint, self._base),
            params=params,
            data=data,
            json=json,
            files=files,
            headers=headers,
            allow_redirects=False,
        )
        if 200 <= answer.status_code < 300:
            return answer
        if answer.status_code == 401 and self.account.forget_old_token():
            raise Temporary("Google wants us to sign in anew.", status=401)
        try:
            body = answer.json()
        except ValueError:
            body = answer.text
        raise HttpError(answer.status_code, body, answer.headers)


def connect(credentials: Credentials, base: str, timeouts: Timeouts = TIMEOUTS, /) -> _OneAttempt:
    """A client that fetches its token at the first call. Another `base` takes the place of all of Google's hosts."""
    own = "" if base == _BASE else base
    account = ServiceAccount(read_key_file(credentials.service_account.get_secret_value()), _SCOPES, own)
    return _OneAttempt(account, own, timeouts)


_OTHER_KEY = "Google does not accept the service account's key. Make a new one, then reconnect."
_SWITCHED_OFF = (
    "The Google Sheets API or the Google Drive API is switched off in the service account's project. "
    "Switch both on in Google Cloud, then reconnect."
)
_NOT_SHARED = (
    "The service account may not do this. "
    "Share the spreadsheet with the service account's address as an editor, then run this again."
)
_GONE = (
    "Google cannot find the spreadsheet: it was deleted, or is no longer shared with the service account's address. "
    "Share it again, or choose another."
)
_PROTECTED = (
    "The worksheet is protected, so the row could not be written. In Google Sheets, under Data, "
    "Protected sheets and ranges, let the service account's address edit it."
)
_MEANINGS = (
    (400, "protected cell", _PROTECTED),
    (403, "protected cell", _PROTECTED),
    (400, "Unable to parse range", "The spreadsheet no longer has this worksheet: choose another."),
    (400, "exceeds grid limits", "The worksheet has no free column for a new column's name: add columns to it."),
    (403, "", _NOT_SHARED),
    (404, "", _GONE),
)


def explain(error: Exception) -> ActionError | None:
    """Google's refusals, of a token or of a call."""
    if isinstance(error, RefreshError):
        detail = redact(str(error.args[0]))
        if error.retryable:
            return Temporary("Google could not let us sign in just now.", detail=detail)
        return Unauthorized(_OTHER_KEY, detail=detail)
    if isinstance(error, TransportError):
        return Temporary("Google could not be reached.", detail=type(error).__name__)
    return _refusal(error) if isinstance(error, HttpError) else None


def _refusal(error: HttpError) -> ActionError:
    found = error.body.get("error") if isinstance(error.body, dict) else None
    said = str(found.get("message", "")) if isinstance(found, dict) else str(found or "")
    kept: dict[str, Any] = {"status": error.status, "detail": excerpt(error.body)}
    if error.status == 429 or (error.status == 403 and "ateLimitExceeded" in str(found)):
        after = retry_after(error.headers, datetime.now(UTC)) or _QUOTA_WAIT
        return Temporary(f"{TITLE} asked us to slow down.", after=after, **kept)
    if error.status == 401 or said == "invalid_grant":
        return Unauthorized(_OTHER_KEY, **kept)
    if error.status == 403 and ("SERVICE_DISABLED" in str(found) or "has not been used" in said):
        return Unauthorized(_SWITCHED_OFF, **kept)
    for status, words, sentence in _MEANINGS:
        if status == error.status and words in said:
            return Permanent(sentence, **kept)
    return http_error(TITLE, error, reason=said)


def check(client: _OneAttempt) -> str:
    """The account's address and how much is shared with it."""
    found = spreadsheets(client, {})
    if found:
        # Another API than the one just asked; each is switched on by itself.
        worksheets(client, {"spreadsheet": found[0].value})
    count = {0: "no spreadsheet", 1: "1 spreadsheet"}.get(len(found), f"{len(found)} spreadsheets")
    return f"{client.account.email}, {count} shared with it"


def spreadsheets(client: _OneAttempt, chosen: Mapping[str, str]) -> list[Option]:
    """The spreadsheets shared with the account, changed last first."""
    params = {
        "q": "mimeType = 'application/vnd.google-apps.spreadsheet' and trashed = false",
        "orderBy": "modifiedTime desc",
        "pageSize": "1000",
        "fields": "nextPageToken,files(id,name)",
        "supportsAllDrives": "true",
        "includeItemsFromAllDrives": "true",
    }
    options: list[Option] = []
    for _ in range(_MOST_PAGES):
        page = client.request("get", DRIVE_FILES_API_V3_URL, params=params).json()
        options += [Option(str(each["id"]), str(each["name"])) for each in page.get("files", ())]
        if not page.get("nextPageToken") or len(options) >= _MOST_SPREADSHEETS:
            break
        params["pageToken"] = page["nextPageToken"]
    return options[:_MOST_SPREADSHEETS]


def worksheets(client: _OneAttempt, chosen: Mapping[str, str]) -> list[Option]:
    """The worksheets of the chosen spreadsheet that have cells."""
    if not chosen.get("spreadsheet"):
        return []
    found = client.fetch_sheet_metadata(chosen["spreadsheet"], {"fields": "sheets.properties(title,sheetType)"})
    listed = [each["properties"] for each in found.get("sheets", ()) if "properties" in each]
    titles = [str(each["title"]) for each in listed if each.get("sheetType", "GRID") == "GRID"]
    return [Option(title, title) for title in titles]


class Row(Form):
    """A row of a worksheet, found by what its key column holds."""

    spreadsheet: str = choice("Spreadsheet", load=spreadsheets)
    worksheet: str = choice("Worksheet", load=worksheets, after=("spreadsheet",))
    key_column: str = text("Key column", default="Order ID", help="The column by which a row is found again.")
    key: str = text("Key", help="What the key column holds for this event, such as the order's number.")
    columns: dict[str, str] = pairs("Columns", help="Those that the worksheet lacks are added at its right end.")


@action("Add or update a row", repeatable=True, overwrites=True, one_at_a_time=("spreadsheet", "worksheet"))
def put_row(call: Call, form: Row) -> Outcome:
    """Updates the named cells of the row with this key, or appends a row. All other cells stay as they are."""
    worksheet = Worksheet(call.client, form.spreadsheet, form.worksheet)
    is_new = worksheet.put(form.key_column, form.key, form.columns)
    done = "added to" if is_new else "updated in"
    return Outcome(f"Row {form.key} {done} {form.worksheet}.")


integration = Integration(
    name="google_sheets",
    title=TITLE,
    summary="Keep a row for each order in a spreadsheet.",
    credentials=Credentials,
    connect=connect,
    check=check,
    explain=explain,
    actions=(put_row,),
    base=_BASE,
    how_to_connect="In Google Cloud, make a project and switch on its Google Sheets API and Google Drive API. "
    "Under IAM, Service accounts, make a service account and add a key of type JSON: a file is downloaded, "
    "whose whole text goes here. "
    "Then share each spreadsheet with the service account's e-mail address as an editor.",
    concurrent=2,
    per_minute=50,
)
