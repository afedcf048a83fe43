"""A small store with a week behind it, for pictures: made by the product's own use cases, with a clock set back."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from recipes import accounts, connections, cookbook
from recipes import engine as runs
from recipes.clients import ClientCache
from recipes.db import open_database, transaction
from recipes.endpoints import endpoint_of, set_secret
from recipes.events import event_type
from recipes.migrations import migrate
from recipes.models import Mode
from recipes.pocketsflow.sending import compact, fresh
from recipes.rows import MerchantRows
from recipes.settings import load_settings
from recipes.spool import Delivery
from recipes.storing import store
from recipes.vault import Vault
from tests.browser.merchant import EMAIL, PASSWORD, SECRET, STORE
from tests.browser.services import AUDIENCE, CHANNEL, ROLE, SERVER, SPREADSHEET, TITLES
from tests.integrations.cases import CASES

_SHEET = {"spreadsheet": SPREADSHEET, "worksheet": "Orders"}
_RECIPES: Mapping[str, Mapping[str, str]] = {
    "customer.created/mailchimp-add-buyer": {"audience": AUDIENCE},
    "order.completed/google-sheets-row": _SHEET,
    "order.completed/ledger-row": {},
    "order.refunded/google-sheets-row": _SHEET,
    "review.created/slack-message": {"channel": CHANNEL},
    "customer.subscription.deleted/discord-take-role": {"server": SERVER, "role": ROLE},
}


class Past:
    """The store's past: `ago` says how far back its clock is set."""

    def __init__(self, folder: Path, api_base: Mapping[str, str]) -> None:
        """folder: the data directory."""
        self.ago = timedelta(days=9)
        self._settings = load_settings(_env_file=None, data_dir=folder, api_base=dict(api_base))
        self._engine = open_database(self._settings.database)
        migrate(self._engine)
        self._vault = Vault.from_keys(self._settings.sealing_keys())
        self._limits = runs.Limits()
        self._tools = runs.Tools(
            clients=ClientCache(self._vault, api_base),
            rows=lambda merchant_id, is_test: MerchantRows(self._engine, merchant_id, self.now, is_test),
            now=self.now,
            jitter=lambda: 0.0,
        )
        self._open()

    def now(self) -> datetime:
        """The time there."""
        return datetime.now(UTC) - self.ago

    def close(self) -> None:
        """Lets go of the database."""
        self._engine.dispose()

    def happens(self, ago: timedelta, event: str, buyer: str = "", **changes: Any) -> None:
        """An event that came `ago` before now, and what the engine does about it at once.

        buyer: "First Last", else the sample's own. changes: what is put in the place of the sample's, at its top level.
        """
        self.ago = ago
        known = event_type(event)
        assert known is not None
        payload = fresh(event, known.sample()) | changes
        if buyer:
            first, last = buyer.split()
            payload["customer"] = {
                "email": f"{first.lower()}@{last.lower()}.example",
                "firstName": first,
                "lastName": last,
            }
        delivery = Delivery(
            endpoint_id=self._endpoint_id,
            merchant_id=self._merchant_id,
            mode=Mode.LIVE,
            body=compact(payload),
            event_header=event,
            timestamp_header=str(round(self.now().timestamp() * 1000)),
            received_at=self.now(),
        )
        assert store(self._engine, [delivery]) == [True]
        self.work()

    def work(self) -> None:
        """Does what is due."""
        while self._turn():
            pass

    def _turn(self) -> int:
        with transaction(self._engine) as session:
            runs.fan_out(session, now=self.now())
            claimed = runs.claim(session, now=self.now(), lease="the past", limits=self._limits, limit=100)
        performed = [runs.perform(each, self._tools) for each in claimed]
        with transaction(self._engine) as session:
            runs.settle(session, performed, now=self.now())
        return len(claimed)

    def _open(self) -> None:
        with transaction(self._engine) as session:
            accounts.create_account(session, EMAIL, PASSWORD, STORE, self.now())
            merchant = accounts.merchant_named(session, STORE)
            endpoint = endpoint_of(session, merchant.id or 0, Mode.LIVE, self.now())
            set_secret(session, self._vault, endpoint, SECRET, self.now(), overlap=timedelta())
        self._merchant_id, self._endpoint_id = merchant.id or 0, endpoint.id or 0
        for app, title in TITLES.items():
            self._connect(app, title)
        for name, chosen in _RECIPES.items():
            self._switch_on(name, chosen)

    def _connect(self, app: str, title: str) -> None:
        with transaction(self._engine) as session:
            made = connections.add(
                session, self._vault, self._merchant_id, app, title, CASES[app].credentials, self.now()
            )
        connections.check(self._engine, self._vault, self._settings, self._merchant_id, made.id or 0, self.now())

    def _switch_on(self, name: str, chosen: Mapping[str, str]) -> None:
        with transaction(self._engine) as session:
            draft = cookbook.draft_from_prebuilt(session, self._merchant_id, name)
        assert draft is not None
        [step] = draft.steps
        draft = replace(draft, steps=[replace(step, fields={**step.fields, **chosen})])
        draft, _ = cookbook.with_labels(self._engine, self._vault, self._settings, self._merchant_id, draft)
        with transaction(self._engine) as session:
            saved = cookbook.save(session, self._vault, self._merchant_id, draft, by=EMAIL, now=self.now())
            cookbook.enable(session, self._merchant_id, saved.id or 0, self.now())
