"""``list_scan_response_keys_filter_path``: show only those keys of a listing that the caller may reach.

The template says which path stands for a key: ``{{ .path }}{{ .key }}``, or with a word replaced,
``{{ .path | replace "metadata" "data" }}{{ .key }}``. No other function exists.
"""

import re
from typing import Final

from broker.plugin.errors import InvalidRequest

_PLACE = re.compile(r'\{\{\s*\.(path|key)\s*(?:\|\s*replace\s+"([^"{}]*)"\s+"([^"{}]*)"\s*)?\}\}', re.ASCII)
_EXPECTED: Final = (
    "list_scan_response_keys_filter_path: expected text with {{ .path }}, {{ .key }} or "
    '{{ .path | replace "metadata" "data" }}'
)


def check_keys_filter(template: str) -> None:
    """Raise InvalidRequest unless the template can be rendered and tells keys apart."""
    rest = _PLACE.sub("", template)
    if len(template) > 1024 or "{{" in rest or "}}" in rest:
        raise InvalidRequest(_EXPECTED)
    if not any(place.group(1) == "key" for place in _PLACE.finditer(template)):
        raise InvalidRequest(
            "list_scan_response_keys_filter_path resulted in same path for two different keys: use {{ .key }}"
        )


def render_keys_filter(template: str, path: str, key: str) -> str:
    """The path whose access decides whether ``key``, listed at ``path``, is shown.

    >>> render_keys_filter('{{ .path }}{{ .key }}', 'kv/app/', 'db')
    'kv/app/db'
    """
    values = {"path": path, "key": key}

    def one(place: re.Match[str]) -> str:
        name, old, new = place.groups()
        return values[name].replace(old, new) if old else values[name]

    return _PLACE.sub(one, template)
