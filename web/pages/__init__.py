"""One blueprint a page; this list is what is served."""

from web import health
from web.pages import account, activity, connections, first_run, home, recipes, runs, setup, tables

BLUEPRINTS = (
    health.blueprint,
    first_run.blueprint,
    home.blueprint,
    recipes.blueprint,
    connections.blueprint,
    activity.blueprint,
    runs.blueprint,
    tables.blueprint,
    setup.blueprint,
    account.blueprint,
)
