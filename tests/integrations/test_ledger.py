"""The Ledger: rows without any service."""

import pytest

from integrations.kit import FormError, fields, validate
from integrations.ledger import Credentials, Row, check, explain, integration, put_row
from tests.integrations.calls import RowsInMemory, call


def test_it_needs_no_credentials_and_no_client() -> None:
    """A newcomer sees a recipe work in the first minute."""
    assert fields(Credentials) == ()
    assert integration.connect(validate(Credentials, {}), "") is None
    assert check(None) == "Tables in Pocketwire"
    assert explain(ValueError()) is None


def test_a_row_is_added_once_and_then_updated() -> None:
    """A repeat changes nothing, and columns not named stay."""
    rows = RowsInMemory()
    first = Row(key="order_xyz123", columns={"Buyer": "Ada", "Amount": "49.00"})
    refund = Row(key="order_xyz123", columns={"Amount": "0.00"})
    sentences = [put_row.perform(call(None, rows), form).sentence for form in (first, first, refund)]
    assert sentences == [
        "Row order_xyz123 added to Orders.",
        "Row order_xyz123 updated in Orders.",
        "Row order_xyz123 updated in Orders.",
    ]
    assert rows.kept == {("Orders", "order_xyz123"): {"Buyer": "Ada", "Amount": "0.00"}}
    assert integration.action("put_row").repeatable


def test_what_a_buyer_wrote_stays_as_it_is() -> None:
    """Pages and downloads make it harmless where they show it."""
    rows = RowsInMemory()
    put_row.perform(call(None, rows), Row(table="Reviews", key="r1", columns={"Text": "=1+1\n<b>"}))
    assert rows.kept["Reviews", "r1"] == {"Text": "=1+1\n<b>"}


def test_a_row_needs_a_key() -> None:
    """Without one every event would land on the same row."""
    with pytest.raises(FormError, match="Key is missing"):
        validate(Row, {"key": " ", "columns": {}})
