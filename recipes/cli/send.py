"""`pocketwire send`: a signed delivery like Pocketsflow's, to try an installation out."""

import json
import sys
from difflib import get_close_matches

import click
import requests

from recipes.cli.given import read_file
from recipes.cli.workplace import Failed, Refused, Workplace, for_merchant, for_side
from recipes.db import transaction
from recipes.endpoints import delivery_url, endpoint_of, sample_secret, secrets_of
from recipes.events import EVENT_TYPES, event_type
from recipes.models import Mode
from recipes.pocketsflow.sending import compact, deliver, fresh

_EVENTS = [each.name for each in EVENT_TYPES]


@click.command(epilog=f"Events: {', '.join(_EVENTS)}.")
@click.argument("event")
@click.option("--payload", metavar="FILE", help="Send this JSON instead of the sample; - is standard input.")
@click.option("--to", metavar="URL", help="Send it there; else to this installation's own delivery address.")
@click.option("--as-is", is_flag=True, help="Send the sample or the file without any change, ids included.")
@click.option("--secret-stdin", is_flag=True, help="Sign as a real delivery, with a secret from standard input.")
@for_merchant
@for_side
@click.pass_obj
def send(
    work: Workplace,
    event: str,
    payload: str | None,
    to: str | None,
    as_is: bool,
    secret_stdin: bool,
    merchant: str | None,
    mode: str,
) -> None:
    """Send a signed event as Pocketsflow does.

    The sample's ids and buyer are made new, so that a second one is no duplicate. Here it runs the recipes that are on
    and is marked as a sample. Elsewhere, or with --secret-stdin, it is a delivery like any other.

    \b
    Example: pocketwire send order.completed
    """
    if secret_stdin and payload == "-":
        raise Refused("Only one of the secret and the payload can come from standard input.")
    body = _body(event, payload, as_is)
    with transaction(work.engine) as session:
        endpoint = endpoint_of(session, work.merchant_id(merchant, session), Mode(mode), work.now())
    url = to or delivery_url(work.settings, endpoint)
    if secret_stdin:
        secret = sys.stdin.read().strip()
    elif url.endswith(endpoint.token):
        secret = sample_secret(work.vault, endpoint)
    else:
        secret = next(iter(secrets_of(work.vault, endpoint, work.now())), "")
    if not secret:
        raise Refused("There is no signing secret to sign with: pocketwire endpoint set-secret.")
    try:
        status, said = deliver(url, event, secret, body, work.now())
    except requests.RequestException:
        raise Failed(f"Nothing answers at {_host(url)}: is the service running? (pocketwire serve)") from None
    except ValueError:
        raise Refused(f"{url} is not an address.") from None
    if not 200 <= status < 300:
        raise Failed(f"It was answered {status}. {said}".strip())
    click.echo(f"{event} was sent and answered {status}. {said}".strip())


def _body(event: str, payload: str | None, as_is: bool) -> bytes:
    if payload is not None:
        text = read_file(payload)
        if as_is:
            return text.encode()
        try:
            given = json.loads(text)
        except ValueError:
            raise Refused(f"{payload} is not JSON; with --as-is it is sent all the same.") from None
        return compact(given)
    known = event_type(event)
    if known is None:
        close = get_close_matches(event, _EVENTS, n=3, cutoff=0.5)
        hint = f" Did you mean {' or '.join(close)}?" if close else f" There are: {', '.join(_EVENTS)}."
        raise Refused(f"There is no sample for an event called {event}.{hint}")
    sample = known.sample()
    return compact(sample if as_is else fresh(known.name, sample))


def _host(url: str) -> str:
    return "/".join(url.split("/")[:3])
