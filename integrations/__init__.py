"""The services Pocketwire can act on: one visible list, in the order merchants see them."""

from integrations import discord, discourse, google_sheets, ledger, mailchimp, slack
from integrations.kit import Integration

INTEGRATIONS: tuple[Integration, ...] = (
    ledger.integration,
    mailchimp.integration,
    slack.integration,
    google_sheets.integration,
    discourse.integration,
    discord.integration,
)
_BY_NAME = {each.name: each for each in INTEGRATIONS}


def integration(name: str) -> Integration:
    """The integration called `name`. Raises KeyError if there is none."""
    return _BY_NAME[name]
