"""``broker plugin list``."""

from broker.cli.data import Data
from broker.cli.flags import Command, Flag
from broker.cli.invocation import Failure, Invocation
from broker.cli.output import print_structure, print_table


def listing(run: Invocation) -> int:
    """Print the plugins the server has, all or those of one type."""
    wanted = run.rest[0] if run.rest else None
    with run.doing("listing available plugins"):
        reply = run.client.read("sys/plugins/catalog")
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


LIST = Command(
    listing,
    "plugin list [options] [TYPE]",
    'List plugins; TYPE is "secret", "auth" or another kind.',
    (Flag("detailed", "Print also whether it is deprecated.", "switch"),),
    (0, 1),
    shows="answer",
)
