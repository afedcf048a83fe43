"""The Ledger's tables: rows to look at, and the whole as CSV."""

from collections.abc import Iterator

from flask import Blueprint, Response, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from recipes import ledger
from recipes.db import reading, transaction
from web.site import merchant_id, site

blueprint = Blueprint("tables", __name__, url_prefix="/ledger")


@blueprint.get("")
def listing() -> ResponseReturnValue:
    """All tables."""
    with reading(site().engine) as session:
        found = ledger.tables(session, merchant_id())
    return render_template("ledger/tables.html", tables=found)


@blueprint.get("/table")
def table() -> ResponseReturnValue:
    """Rows of a table, the newest first; `before` is the page."""
    name = _name()
    with reading(site().engine) as session:
        found = ledger.table(session, merchant_id(), name, request.args.get("before", type=int))
    if found is None:
        abort(404)
    return render_template("ledger/table.html", table=found)


@blueprint.route("/rows/<int:row_id>/delete", methods=["GET", "POST"])
def delete_row(row_id: int) -> ResponseReturnValue:
    """Asks whether a row is to go, and takes it out."""
    name = _name()
    with reading(site().engine) as session:
        row = ledger.table_row(session, merchant_id(), name, row_id)
    if row is None:
        abort(404)
    if request.method == "GET":
        return render_template("ledger/delete.html", name=name, row=row)
    with transaction(site().engine) as session:
        ledger.delete_row(session, merchant_id(), name, row_id)
        is_left = ledger.table(session, merchant_id(), name, limit=1) is not None
    flash(f"The row {row.key} is deleted.", "success")
    return redirect(url_for("tables.table", name=name) if is_left else url_for("tables.listing"))


@blueprint.get("/table.csv")
def download() -> ResponseReturnValue:
    """The whole table as CSV."""
    name = _name()
    engine, store = site().engine, merchant_id()
    with reading(engine) as session:
        if ledger.table(session, store, name, limit=1) is None:
            abort(404)

    def lines() -> Iterator[str]:
        with reading(engine) as session:
            yield from ledger.table_csv(session, store, name)

    answer = Response(lines(), mimetype="text/csv")
    answer.headers.set("Content-Disposition", "attachment", filename=f"{name}.csv")
    return answer


def _name() -> str:
    # Not a part of the path: a recipe names its table after a product, and that may have a slash in it.
    return request.args.get("name", "")
