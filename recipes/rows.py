"""Rows of a merchant's own, as the Ledger integration writes them."""

from collections.abc import Callable, Mapping
from datetime import datetime

from sqlalchemy import Engine
from sqlmodel import col, select

from recipes.db import Lock, one_at_a_time, transaction
from recipes.models import LedgerRow


class MerchantRows:
    """The rows of one merchant. is_test: for a test event. Its rows are marked until a real one writes them."""

    def __init__(self, engine: Engine, merchant_id: int, now: Callable[[], datetime], is_test: bool = False) -> None:
        self._engine = engine
        self._merchant_id = merchant_id
        self._now = now
        self._is_test = is_test

    def put(self, table: str, key: str, values: Mapping[str, str]) -> bool | None:
        """As integrations.kit.Rows says."""
        now = self._now()
        with transaction(self._engine) as session:
            one_at_a_time(session, Lock.MERCHANT, {self._merchant_id})
            row = session.exec(
                select(LedgerRow).where(
                    col(LedgerRow.merchant_id) == self._merchant_id,
                    col(LedgerRow.table) == table,
                    col(LedgerRow.key) == key,
                )
            ).first()
            if row is None:
                session.add(
                    LedgerRow(
                        merchant_id=self._merchant_id,
                        table=table,
                        key=key,
                        columns=dict(values),
                        is_test=self._is_test,
                        created_at=now,
                        updated_at=now,
                    )
                )
                return True
            if self._is_test and not row.is_test:
                return None
            # What a test event wrote says nothing of the real thing: with a real one the row begins.
            begins = row.is_test and not self._is_test
            row.columns = dict(values) if begins else {**row.columns, **values}
            row.created_at = now if begins else row.created_at
            row.is_test = self._is_test
            row.updated_at = now
            return begins
