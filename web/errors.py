"""What is said when a page cannot be shown."""

from flask import Flask, current_app, g, render_template, request
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException

from recipes.db import UNAVAILABLE

_WORDS = {
    400: ("That did not work", "Your browser sent something we could not read. Go back and try again."),
    403: ("Not for this account", "Your account may not see this page."),
    404: ("Nothing here", "This page does not exist, or it belongs to another store."),
    405: ("That did not work", "This address only takes a form that was sent. Go back and try again."),
    410: ("Not any more", "What was here is gone."),
    413: ("Too large", "What you sent is larger than 512 kB."),
    503: (
        "One moment",
        "The database does not answer just now, so no page can be shown. Deliveries are taken all the same and kept. "
        "Try again in a minute; if it stays so, tell whoever runs this installation.",
    ),
    500: ("Our mistake", "Something went wrong on our side. It is in the log. Deliveries are taken as before."),
}


def add_to(app: Flask) -> None:
    """Answers errors with a page in plain words."""

    @app.errorhandler(CSRFError)
    def refuse_form(_error: CSRFError) -> ResponseReturnValue:
        sentence = "This form is no longer good: you may have signed in or out meanwhile. Go back, reload, send again."
        return render_template("errors/error.html", title="Please send that again", sentence=sentence), 400

    @app.errorhandler(OverflowError)
    def miss(_error: OverflowError) -> ResponseReturnValue:
        # A number in the address that is larger than any the database can hold.
        title, sentence = _WORDS[404]
        return render_template("errors/error.html", title=title, sentence=sentence), 404

    def say_that_the_database_is_away(error: Exception) -> ResponseReturnValue:
        # The rule, not the address: that can hold a token. The database's own words hold none of ours.
        why = getattr(error, "orig", None) or type(error).__name__
        app.logger.error("the database did not answer for a page: %s %s: %s", request.method, request.url_rule, why)
        # Nobody: to look who it is would take the database.
        g._login_user = current_app.extensions["security"].login_manager.anonymous_user()
        title, sentence = _WORDS[503]
        page = render_template("errors/error.html", title=title, sentence=sentence)
        return page, 503, {"Retry-After": "10"}

    for kind in UNAVAILABLE:
        app.register_error_handler(kind, say_that_the_database_is_away)

    @app.errorhandler(HTTPException)
    def show(error: HTTPException) -> ResponseReturnValue:
        code = error.code or 500
        if code < 400:
            return error
        title, sentence = _WORDS.get(code, _WORDS[400 if code < 500 else 500])
        # Ours are written for people; the library's own speak of servers and requests.
        if code in (403, 404, 410) and error.description and error.description != type(error).description:
            sentence = error.description
        return render_template("errors/error.html", title=title, sentence=sentence), code
