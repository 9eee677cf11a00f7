"""What the method asks a directory: is this the person's password, and which groups are they in."""

import contextlib
import ssl
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field

from broker.plugin import Secret

from . import filters, names
from .arguments import ALIASES
from .records import USER_FILTER, LdapConfig
from .settings import addresses
from .sids import sid_text
from .wire import BASE, NO_SUCH_OBJECT, DirectoryDown, Entry, Refused, Search, Wire

UNWELL = frozenset((51, 52, 80))
"""Result codes that say nothing of the person: busy, unavailable, other."""
ANYTHING = filters.encoded("(objectClass=*)")
NO_ATTRIBUTES = ("1.1",)
MAX_GROUPS = 2000
MAX_DEPTH = 16
DEFAULT_REQUEST, DEFAULT_CONNECT = 90.0, 30.0


class BadLogin(Exception):
    """No such person, or not their password: nobody outside learns which."""


class Misconfigured(Exception):
    """The directory refuses what the configuration makes us ask. The text names no values."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who logged in: how the directory calls them, their entity's alias, and their groups."""

    dn: str = field(repr=False)
    alias: str
    groups: tuple[str, ...]


class Directory:
    """The directory of a configuration. Each call has a connection of its own. Raises: DirectoryDown everywhere."""

    def __init__(self, config: LdapConfig, tls: ssl.SSLContext | None) -> None:
        self._config = config
        self._tls = tls

    async def log_in(self, name: str, password: Secret[str], decoy: str) -> Person:
        """Check a password. ``decoy`` is a name that nobody has, to be tried where there is no such person.

        Raises: BadLogin; Misconfigured.
        """
        async with self._connected() as wire:
            entry = await self._find(wire, name) if self._config.searches else None
            known = bool(name) and (entry is not None or not self._config.searches)
            dn = entry.dn if entry is not None else self._composed(name if known else decoy)
            await self._prove(wire, dn, password)
            if not known:
                raise BadLogin
            if self._config.has_account:
                await self._as_account(wire)
            return await self._described(wire, name, dn, entry)

    async def look_up(self, name: str) -> Person:
        """Return what the directory says of a person now, asked by the account. Raises: BadLogin; Misconfigured."""
        async with self._connected() as wire:
            entry = await self._find(wire, name)
            if entry is None:
                raise BadLogin
            return await self._described(wire, name, entry.dn, entry)

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator[Wire]:
        """Connect to the first directory that answers."""
        config = self._config
        async with contextlib.AsyncExitStack() as stack:
            reasons = []
            for address in addresses(config.url):
                secure = address.tls or config.starttls
                opening = Wire.open(
                    address.host,
                    address.port,
                    tls=self._tls if secure else None,
                    start_tls=secure and not address.tls,
                    connect_seconds=config.connection_timeout or DEFAULT_CONNECT,
                    request_seconds=config.request_timeout or DEFAULT_REQUEST,
                )
                try:
                    wire = await stack.enter_async_context(opening)
                    break
                except DirectoryDown as error:
                    reasons.append(str(error))
            else:
                raise DirectoryDown("; ".join(dict.fromkeys(reasons)))
            yield wire

    async def _as_account(self, wire: Wire) -> None:
        try:
            if self._config.has_account:
                await wire.bind(self._config.binddn, self._config.bindpass)
            else:
                await wire.bind_anonymously()
        except Refused as error:
            raise Misconfigured(f"the account that searches is refused, result code {error.code}") from None

    async def _prove(self, wire: Wire, dn: str, password: Secret[str]) -> None:
        try:
            await wire.bind(dn, password.reveal())
        except Refused as error:
            if error.code in UNWELL:
                raise DirectoryDown(f"the directory answers with result code {error.code}") from None
            raise BadLogin from None
        except ValueError:
            raise BadLogin from None

    async def _find(self, wire: Wire, name: str) -> Entry | None:
        """Search for a person; ``None`` if there is none, or more than one."""
        config = self._config
        await self._as_account(wire)
        values = {"UserAttr": config.userattr, "Username": name}
        if config.upndomain:
            values = {"UserAttr": "userPrincipalName", "Username": f"{name}@{config.upndomain}"}
        wanted = self._search(
            config.userdn, config.userfilter or USER_FILTER, values, [config.userattr], limit=2
        )
        found = await self._found(wire, wanted, optional=True)
        return found[0] if len(found) == 1 and name else None

    def _composed(self, name: str) -> str:
        config = self._config
        if config.upndomain:
            return f"{name}@{config.upndomain}"
        return f"{config.userattr}={names.escaped(name)},{config.userdn}"

    async def _described(self, wire: Wire, name: str, dn: str, entry: Entry | None) -> Person:
        config = self._config
        if config.upndomain:
            dn = await self._dn_of_upn(wire, name)
        if config.anonymous_group_search:
            async with self._connected() as other:
                groups = await self._groups(other, dn, name)
        else:
            groups = await self._groups(wire, dn, name)
        return Person(dn, self._alias(name, entry), groups)

    def _alias(self, name: str, entry: Entry | None) -> str:
        """Raises: Misconfigured if the directory names no one value."""
        if self._config.username_as_alias:
            return name
        if entry is None:
            return self._composed(name)
        values = entry.texts(self._config.userattr)
        if len(values) != 1 or not values[0]:
            raise Misconfigured("the person has not exactly one value of userattr to find the entity by")
        return values[0]

    async def _dn_of_upn(self, wire: Wire, name: str) -> str:
        values = {"UPN": f"{name}@{self._config.upndomain}"}
        wanted = self._search(
            self._config.userdn, "(userPrincipalName={{.UPN}})", values, NO_ATTRIBUTES, limit=2
        )
        found = await self._found(wire, wanted)
        if len(found) != 1:
            raise Misconfigured("not exactly one person has that user principal name")
        return found[0].dn

    # Groups

    async def _groups(self, wire: Wire, dn: str, name: str) -> tuple[str, ...]:
        config = self._config
        if config.use_token_groups:
            found = await self._token_groups(wire, dn)
        elif config.groupdn and config.groupfilter:
            values = {"UserDN": dn, "Username": name}
            wanted = self._search(config.groupdn, config.groupfilter, values, [config.groupattr])
            found = await self._found(wire, wanted)
            if config.nested_groups:
                found = await self._with_groups_above(wire, found)
        else:
            found = []
        return tuple(sorted({group for entry in found for group in self._named(entry) if group}))

    def _named(self, entry: Entry) -> Iterable[str]:
        """Return the groups that an entry found stands for: its ``groupattr``, or else itself."""
        exact = self._config.use_pre111_group_cn_behavior
        for value in entry.texts(self._config.groupattr) or [entry.dn]:
            yield names.group_name(value, exact_case=exact)

    async def _with_groups_above(self, wire: Wire, found: list[Entry]) -> list[Entry]:
        """Follow membership from group to group, each once. Raises: Misconfigured beyond bounds."""
        every = {entry.dn.lower(): entry for entry in found}
        level = list(every.values())
        for _ in range(MAX_DEPTH):
            above: list[Entry] = []
            for entry in level:
                values = {"DN": entry.dn}
                filter_ = "(|(member={{.DN}})(uniqueMember={{.DN}}))"
                wanted = self._search(self._config.groupdn, filter_, values, [self._config.groupattr])
                above += await self._found(wire, wanted)
            fresh = {entry.dn.lower(): entry for entry in above if entry.dn.lower() not in every}
            level = list(fresh.values())
            every |= fresh
            if len(every) > MAX_GROUPS:
                raise Misconfigured(f"a person is in more than {MAX_GROUPS} groups")
            if not level:
                return list(every.values())
        raise Misconfigured(f"groups are nested more than {MAX_DEPTH} deep")

    async def _token_groups(self, wire: Wire, dn: str) -> list[Entry]:
        """Read Active Directory's list of all of a person's groups, nested ones too, and look each up."""
        person = await self._found(wire, Search(dn, ANYTHING, ("tokenGroups",), BASE, limit=1))
        raw = person[0].attributes.get("tokengroups", ()) if person else ()
        if len(raw) > MAX_GROUPS:
            raise Misconfigured(f"a person is in more than {MAX_GROUPS} groups")
        found: list[Entry] = []
        for sid in raw:
            found += await self._found(
                wire, Search(f"<SID={sid_text(sid)}>", ANYTHING, NO_ATTRIBUTES, BASE, limit=1), optional=True
            )
        return found

    def _search(
        self,
        base: str,
        template: str,
        values: Mapping[str, str],
        attributes: Iterable[str],
        *,
        limit: int = 0,
    ) -> Search:
        return Search(
            base,
            filters.encoded(filters.rendered(template, values)),
            tuple(attributes),
            limit=limit,
            page=0 if limit else self._config.max_page_size,
            aliases=ALIASES.index(self._config.dereference_aliases),
        )

    async def _found(self, wire: Wire, wanted: Search, *, optional: bool = False) -> list[Entry]:
        """``optional``: nothing is found, too, where the place to search at is not there."""
        try:
            return await wire.search(wanted)
        except Refused as error:
            if optional and error.code == NO_SUCH_OBJECT:
                return []
            raise Misconfigured(f"a search is refused, result code {error.code}") from None
