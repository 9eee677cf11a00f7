"""What version 2 refuses. The texts are those that clients of the field match on."""

from broker.plugin import Conflict, InvalidRequest, NotFound


class CasRequired(InvalidRequest):
    """The secret or its mount demands ``cas`` on every write, and none was given."""

    def __init__(self) -> None:
        super().__init__("check-and-set parameter required for this call")


class CasMismatch(Conflict):
    """The caller's ``cas`` is not the secret's current version."""

    def __init__(self) -> None:
        super().__init__("check-and-set parameter did not match the current version")


class CasUnreadable(InvalidRequest):
    """``options.cas`` is no whole number."""

    def __init__(self) -> None:
        super().__init__("error parsing check-and-set parameter")


class UnknownOption(InvalidRequest):
    """``options`` holds something else than ``cas``: a typo there would write without the check that was meant."""

    def __init__(self, name: str) -> None:
        super().__init__(f'unknown field "options.{name[:64]}"; fields of options: cas')


class MetadataCasRequired(InvalidRequest):
    """The secret or its mount demands ``metadata_cas`` on every change of settings."""

    def __init__(self) -> None:
        super().__init__("metadata check-and-set parameter required for this call")


class MetadataCasMismatch(Conflict):
    """The caller's ``metadata_cas`` is not the current metadata version."""

    def __init__(self, *, creating: bool = False) -> None:
        super().__init__(
            "metadata_cas must be 0 when creating new metadata"
            if creating
            else "metadata check-and-set parameter does not match the current version"
        )


class NoName(InvalidRequest):
    """A write must name an entry, not a folder."""

    def __init__(self) -> None:
        super().__init__("cannot write to a path ending in '/'")


class NoVersions(InvalidRequest):
    """The call is about certain versions and names none."""

    def __init__(self, word: str = "No") -> None:
        super().__init__(f"{word} version number provided")


class Upgrading(InvalidRequest):
    """The mount is being turned from version 1 to version 2, and this entry's turn has not come yet."""

    def __init__(self) -> None:
        super().__init__(
            "Upgrading from non-versioned to versioned data. This backend will be unavailable for a brief "
            "period and will resume service shortly."
        )


class WrongFamily(NotFound):
    """The path does not begin as version 2's paths do; the answer carries a warning instead of an error."""

    def __init__(self, warning: str) -> None:
        super().__init__()
        self.warnings = (warning,)
