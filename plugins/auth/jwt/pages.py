"""What a browser sees that a provider sent back to us. No scripts, nothing from elsewhere, everything escaped."""

from collections.abc import Mapping
from html import escape

from broker.plugin import Raw

HTML = "text/html; charset=utf-8"
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'self'">
{head}<title>{title}</title>
<style>body {{ font: 16px system-ui, sans-serif; margin: 20vh auto; max-width: 36rem; padding: 0 1rem }}</style>
</head>
<body>
<h1>{title}</h1>
{body}
</body>
</html>
"""


def succeeded() -> Raw:
    """Say that the login is done and the page may be closed."""
    return _page(
        "Signed in", "<p>You are signed in. You can close this page and go back to your terminal.</p>"
    )


def failed(sentence: str) -> Raw:
    """Say that it is not. ``sentence`` is ours; escaped all the same."""
    return _page("Login failed", f"<p>{escape(sentence)}</p>", status=400)


def confirm(action: str, fields: Mapping[str, str], *, requester: str, role: str) -> Raw:
    """Ask whoever came back from the provider if it is they who began: whoever began gets the token."""
    hidden = "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">\n'
        for name, value in {**fields, "confirmation": "yes"}.items()
    )
    body = (
        f"<p>A login with the role <b>{escape(role)}</b> was started from <b>{escape(requester)}</b>.</p>\n"
        "<p>Go on only if you started it yourself, just now. If somebody sent you here, close this page.</p>\n"
        f'<form method="get" action="{escape(action)}">\n{hidden}<button type="submit">This was me: sign in</button>\n</form>'
    )
    return _page("Confirm the login", body)


def go_on(url: str) -> Raw:
    """Send the browser on to a page of this server: after a form that a provider had it post here."""
    link = escape(url)
    head = f'<meta http-equiv="refresh" content="0; url={link}">\n'
    return _page("Signing in", f'<p><a href="{link}">Continue</a></p>', head=head)


def _page(title: str, body: str, *, head: str = "", status: int = 200) -> Raw:
    return Raw(_PAGE.format(title=title, body=body, head=head).encode(), HTML, status)
