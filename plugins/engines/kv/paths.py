"""The door of version 2."""

from broker.plugin import Nothing, Operation, Path

from . import arguments as take
from .errors import CasMismatch, MetadataCasMismatch
from .metadata import VersionedEngine as Kv

_WRITE = Operation(take.WriteVersion, dict, calls=Kv.write_version, raises=(CasMismatch,))
_DELETE = Operation(take.ChooseVersions, None, calls=Kv.delete_versions)
_UNDELETE = Operation(take.ChooseVersions, None, calls=Kv.undelete_versions)
_DESTROY = Operation(take.ChooseVersions, None, calls=Kv.destroy_versions)
_SETTINGS = Operation(take.WriteMetadata, None, calls=Kv.write_metadata, raises=(MetadataCasMismatch,))
_LIST = Operation(take.ListNames, dict, calls=Kv.list_names)
_SCAN = Operation(take.ListNames, dict, calls=Kv.scan_names)
_LIST_DETAILED = Operation(take.ListNames, dict, calls=Kv.list_detailed)
_SCAN_DETAILED = Operation(take.ListNames, dict, calls=Kv.scan_detailed)
_EXPLAIN = Operation(take.Anything, None, calls=Kv.explain, hidden=True)

CONFIG = Path(
    "config",
    "Settings that hold for every secret of the mount.",
    read=Operation(Nothing, dict, calls=Kv.read_config),
    update=Operation(take.WriteConfig, None, calls=Kv.write_config),
    list=_EXPLAIN,
)
DATA = Path(
    "data/{path:path}",
    "One secret, version by version.",
    description="A write stores a new version; cas in the options makes it fail if another writer was first. "
    "A delete marks the latest version and can be undone.",
    read=Operation(take.ReadVersion, dict, calls=Kv.read_version),
    create=_WRITE,
    update=_WRITE,
    patch=Operation(take.PatchVersion, dict, calls=Kv.patch_version, raises=(CasMismatch,)),
    delete=Operation(take.Named, None, calls=Kv.delete_latest),
    exists=Kv.known,
)
SUBKEYS = Path(
    "subkeys/{path:path}",
    "The names within a secret, without the values.",
    read=Operation(take.ReadOutline, dict, calls=Kv.read_outline),
)
DELETE = Path(
    "delete/{path:path}",
    "Mark versions as deleted; their contents stay.",
    create=_DELETE,
    update=_DELETE,
    exists=Kv.known,
)
UNDELETE = Path(
    "undelete/{path:path}",
    "Make deleted versions readable again.",
    create=_UNDELETE,
    update=_UNDELETE,
    exists=Kv.known,
)
DESTROY = Path(
    "destroy/{path:path}",
    "Remove the contents of versions for good.",
    create=_DESTROY,
    update=_DESTROY,
    exists=Kv.known,
)
METADATA = Path(
    "metadata/{path:path}",
    "A secret's settings and the marks of its versions; the names below a folder.",
    read=Operation(take.Named, dict, calls=Kv.read_metadata),
    create=_SETTINGS,
    update=_SETTINGS,
    patch=Operation(take.WriteMetadata, None, calls=Kv.patch_metadata, raises=(MetadataCasMismatch,)),
    delete=Operation(take.Named, None, calls=Kv.delete_metadata),
    list=_LIST,
    scan=_SCAN,
    exists=Kv.known,
)
DETAILED = Path(
    "detailed-metadata/{path:path}",
    "The names below a folder together with their metadata.",
    list=_LIST_DETAILED,
    scan=_SCAN_DETAILED,
)


def _root(template: str, *, list_: Operation | None = None, scan: Operation | None = None) -> Path:
    return Path(
        template,
        "The names at the root of the mount."
        if list_ is not None
        else "Nothing is here; the answer says where it is.",
        read=_EXPLAIN,
        update=_EXPLAIN,
        patch=_EXPLAIN,
        delete=_EXPLAIN,
        list=list_,
        scan=scan,
        slash=True,
    )


ROOTS = (
    _root("metadata", list_=_LIST, scan=_SCAN),
    _root("detailed-metadata", list_=_LIST_DETAILED, scan=_SCAN_DETAILED),
    *(_root(name) for name in ("data", "subkeys", "delete", "undelete", "destroy")),
)
ELSEWHERE = _root("{path:path}", list_=_EXPLAIN, scan=_EXPLAIN)

PATHS = (CONFIG, DATA, SUBKEYS, DELETE, UNDELETE, DESTROY, METADATA, DETAILED, *ROOTS, ELSEWHERE)
Kv.PATHS = PATHS
