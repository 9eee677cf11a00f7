"""What a caller may ask of a path."""

from enum import StrEnum


class Verb(StrEnum):
    """An operation on a path; the value is also the policy capability that allows it.

    ``UPDATE`` is what POST and PUT arrive as; the pipeline turns it into ``CREATE`` where the path tells
    the two apart and nothing is stored there yet.
    """

    READ = "read"
    CREATE = "create"
    UPDATE = "update"
    PATCH = "patch"
    DELETE = "delete"
    LIST = "list"
    SCAN = "scan"
    HELP = "help"
