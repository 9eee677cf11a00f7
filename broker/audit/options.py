"""Options that every audit device has: how a record is written, wherever it goes."""

from collections.abc import Mapping
from dataclasses import dataclass

from broker.plugin.errors import WrongOption

COMMON = ("log_raw", "hmac_accessor", "elide_list_responses", "format", "fallback", "prefix")

TRUE = frozenset(("1", "t", "T", "TRUE", "true", "True"))
FALSE = frozenset(("0", "f", "F", "FALSE", "false", "False"))


@dataclass(frozen=True, slots=True)
class RecordOptions:
    """``log_raw`` writes values in clear; ``hmac_accessor`` false writes accessors in clear."""

    log_raw: bool = False
    hmac_accessor: bool = True
    elide_list_responses: bool = False


def parse_record_options(options: Mapping[str, str]) -> RecordOptions:
    """Read the common options. Raises: WrongOption, in the peer's words where it has them."""
    if options.get("prefix"):
        # A chosen first line would turn the log into a script or a crontab.
        raise WrongOption("prefix", "audit log prefixing is not allowed")
    if options.get("fallback"):
        raise WrongOption("fallback", "fallback devices are not supported: every device gets every record")
    if (name := options.get("format", "json")) not in ("", "json"):
        raise WrongOption("format", f'format "{name}" is not supported: omit "format" or set it to "json"')
    return RecordOptions(
        log_raw=_boolean(options, "log_raw", False),
        hmac_accessor=_boolean(options, "hmac_accessor", True),
        elide_list_responses=_boolean(options, "elide_list_responses", False),
    )


def device_options(options: Mapping[str, str], known: tuple[str, ...]) -> dict[str, str]:
    """What is left for the device itself. Raises: WrongOption for an option nobody knows."""
    own = {name: value for name, value in options.items() if name not in COMMON}
    for name in own:
        if name not in known:
            offered = ", ".join((*known, *COMMON[:4]))
            raise WrongOption(name, f'unknown option "{name}": expected one of {offered}')
    return own


def _boolean(options: Mapping[str, str], name: str, default: bool) -> bool:
    text = options.get(name, "")
    if text == "":
        return default
    if text in TRUE:
        return True
    if text in FALSE:
        return False
    raise WrongOption(name, f'strconv.ParseBool: parsing "{text}": invalid syntax')
