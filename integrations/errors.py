"""What went wrong in a call, told by what happens next.

The type says what the engine does; the sentence is written for the merchant.
"""

from datetime import timedelta


class ActionError(Exception):
    """A call to a service did not succeed. Raise one of the four subclasses.

    `sentence` is shown to the merchant: plain words, no secrets, what to do if there is something to do.
    `status` is the HTTP status, if there was one. `detail` is a redacted excerpt of the service's answer,
    kept in the run's log for whoever looks closer.
    """

    def __init__(self, sentence: str, *, status: int | None = None, detail: str = "") -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.status = status
        self.detail = detail


class Temporary(ActionError):
    """Nothing was done; trying again later is right. `after` is how long the service asked us to wait."""

    def __init__(
        self, sentence: str, *, after: timedelta | None = None, status: int | None = None, detail: str = ""
    ) -> None:
        super().__init__(sentence, status=status, detail=detail)
        self.after = after


class Permanent(ActionError):
    """Nothing was done, and the same call will never succeed: the merchant has to change something."""


class Unauthorized(ActionError):
    """The credentials are refused: the connection pauses and its runs wait until it is reconnected."""


class Unsure(ActionError):
    """The call may have happened: it was sent and no answer that can be read came back."""
