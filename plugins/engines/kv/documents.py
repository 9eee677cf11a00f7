"""Operations on JSON objects: merge-patch, and the outline without values."""

from typing import Any


def merge_patch(target: Any, patch: Any) -> Any:
    """Apply a JSON merge patch; neither argument is altered.

    Source: RFC 7396. ``null`` removes a member, objects merge member by member, anything else replaces.

    >>> merge_patch({"a": 1, "b": {"c": 2, "d": 3}}, {"a": None, "b": {"c": 4}})
    {'b': {'c': 4, 'd': 3}}
    """
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged


def outline(document: dict[str, Any], depth: int) -> dict[str, Any]:
    """Return the members of an object with every value replaced by ``None``.

    Objects are followed ``depth`` levels down (0: all of them); an empty object or a list counts as a value.

    >>> outline({"a": {"b": 1}, "c": [1]}, 0)
    {'a': {'b': None}, 'c': None}
    """
    deeper = depth != 1
    below = depth - 1 if depth else 0
    return {
        name: outline(value, below) if deeper and isinstance(value, dict) and value else None
        for name, value in document.items()
    }
