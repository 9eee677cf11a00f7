"""Values that must not be shown: ``Secret[T]`` masks itself everywhere but in ``reveal()``."""

from typing import Generic, NoReturn, TypeVar, final

T_co = TypeVar("T_co", covariant=True)

MASK = "<secret>"


@final
class Secret(Generic[T_co]):
    """Carry a sensitive value past logs, tracebacks and serialisers.

    ``repr``, ``str`` and ``format`` show a mask; pickling, copying into JSON and iterating are refused.
    ``reveal()`` is the only way to the value, and easy to search for.

    >>> str(Secret("hunter2"))
    '<secret>'
    >>> Secret("hunter2").reveal()
    'hunter2'
    """

    __slots__ = ("_value",)

    def __init__(self, value: T_co) -> None:
        self._value = value

    def reveal(self) -> T_co:
        """Return the value itself."""
        return self._value

    def __repr__(self) -> str:
        return MASK

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return MASK

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        raise TypeError("compare secrets with hmac.compare_digest on the revealed bytes")

    def __hash__(self) -> int:
        raise TypeError("a secret is not a dictionary key")

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret does not pickle")
