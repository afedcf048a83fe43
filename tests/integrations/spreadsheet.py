"""A spreadsheet as the stand-in keeps it: it answers reads from its cells and writes into them, as Google does."""

from typing import Any

from gspread.utils import a1_to_rowcol
from werkzeug.wrappers import Request, Response

from tests.integrations.vendor import Answer, answer

SHEET = "/v4/spreadsheets/{spreadsheetId}"
APPEND = f"POST {SHEET}/values/{{range}}:append"
BATCH_UPDATE = f"POST {SHEET}/values:batchUpdate"
BATCH_GET = f"GET {SHEET}/values:batchGet"


class Spreadsheet:
    """One worksheet. rows: its cells, "" where empty. Only what is entered as RAW is taken."""

    def __init__(self, title: str, *rows: list[Any]) -> None:
        self.title = title
        self.rows = [list(row) for row in rows]

    def answers(self) -> dict[str, Answer]:
        """Standing answers for a stand-in."""
        return {BATCH_GET: self._read, BATCH_UPDATE: self._update, APPEND: self._append}

    def _read(self, request: Request) -> Response:
        ranges = [self._written(self._within(each)) for each in request.args.getlist("ranges")]
        assert request.args["valueRenderOption"] == "UNFORMATTED_VALUE"
        return answer({"valueRanges": [{"values": rows} if rows else {} for rows in ranges]})

    def _within(self, name: str) -> list[list[Any]]:
        part = self._local(name)
        if part == "1:1":
            return self.rows[:1]
        column = a1_to_rowcol(part.split(":")[0] + "1")[1] - 1
        return [row[column : column + 1] for row in self.rows]

    def _written(self, rows: list[list[Any]]) -> list[list[Any]]:
        """As Google leaves out what is empty at the end of rows and of the range."""
        rows = [list(row) for row in rows]
        for row in rows:
            while row and row[-1] == "":
                row.pop()
        while rows and not rows[-1]:
            rows.pop()
        return rows

    def _update(self, request: Request) -> Response:
        assert request.json["valueInputOption"] == "RAW"
        for change in request.json["data"]:
            row, column = a1_to_rowcol(self._local(change["range"]))
            for offset, values in enumerate(change["values"]):
                for step, value in enumerate(values):
                    self._put(row + offset, column + step, value)
        return answer({})

    def _append(self, request: Request) -> Response:
        assert request.args.to_dict() == {"valueInputOption": "RAW", "insertDataOption": "INSERT_ROWS"}
        for values in request.json["values"]:
            number = len(self.rows) + 1
            for step, value in enumerate(values):
                self._put(number, 1 + step, "" if value is None else value)
        return answer({})

    def _put(self, row: int, column: int, value: Any) -> None:
        self.rows.extend([] for _ in range(row - len(self.rows)))
        cells = self.rows[row - 1]
        cells.extend("" for _ in range(column - len(cells)))
        cells[column - 1] = value

    def _local(self, name: str) -> str:
        title = "'" + self.title.replace("'", "''") + "'!"
        assert name.startswith(title)
        return name.removeprefix(title)
