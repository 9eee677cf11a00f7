"""``broker plugin list|info``."""

from broker.cli.data import Data, plain_path
from broker.cli.flags import Command, Flag
from broker.cli.invocation import Failure, Invocation
from broker.cli.output import print_reply, print_structure, print_table

AT = "sys/plugins/catalog"


def listing(run: Invocation) -> int:
    """Print the plugins the server has, all or those of one type."""
    wanted = run.rest[0] if run.rest else None
    with run.doing("listing available plugins"):
        reply = run.client.read(AT)
    if reply is None:
        raise Failure("Error listing available plugins: the server has no catalog")
    found = [plugin for plugin in _plugins(reply.data) if wanted in {None, plugin["type"]}]
    if not found:
        raise Failure(f"No plugins of type {wanted}" if wanted else "No plugins found")
    if run.format != "table":
        print_structure(run, found)
        return 0
    columns = {"name": "Name", "type": "Type", "version": "Version"}
    if run.given.switch("detailed"):
        columns["deprecation_status"] = "Deprecation Status"
    elif wanted:
        del columns["type"]
    rows = [[plugin.get(name) or "" for name in columns] for plugin in found]
    print_table(list(columns.values()), rows)
    return 0


def info(run: Invocation) -> int:
    """Print what is known about one plugin; exit code 2 if there is none."""
    kind, name = run.rest
    version = run.given.text("version")
    with run.doing(f"reading plugin named {name}"):
        found = run.client.request(
            "GET", f"{AT}/{kind}/{plain_path(name)}", query={"version": version} if version else {}
        )
    return print_reply(run, found, sorted(found.data.items()))


def _plugins(data: Data) -> list[Data]:
    """Name, type and version of each; old servers tell names by type only."""
    if isinstance(data.get("detailed"), list):
        plain = [{"name": "", "type": "", "version": ""} | plugin for plugin in data["detailed"]]
    else:
        plain = [
            {"name": name, "type": kind, "version": ""}
            for kind, names in data.items()
            if isinstance(names, list)
            for name in names
        ]
    return sorted(plain, key=lambda plugin: (str(plugin["type"]), str(plugin["name"])))


INFO = Command(
    info,
    "plugin info [options] TYPE NAME",
    "Print what is known about a plugin.",
    (Flag("version", "Of this version."),),
    (2, 2),
    wraps=True,
)
LIST = Command(
    listing,
    "plugin list [options] [TYPE]",
    'List plugins; TYPE is "secret", "auth" or another kind.',
    (Flag("detailed", "Print also whether it is deprecated.", "switch"),),
    (0, 1),
    shows="answer",
)
