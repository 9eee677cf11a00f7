"""The door of the method."""

from broker.plugin import Auth, Conflict, NotFound, Operation, Path, PermissionDenied

from . import arguments as take
from .method import ApiKeyMethod as Method

KEYS = Path(
    "keys",
    "Keys: make one, list them.",
    update=Operation(take.CreateKey, dict, calls=Method.create),
    list=Operation(take.ListKeys, dict, calls=Method.list_keys),
)
KEY = Path(
    "keys/{id}",
    "One key: what it is for, when it was used, when it ends.",
    read=Operation(take.OneKey, dict, calls=Method.read, raises=(NotFound,)),
    update=Operation(take.UpdateKey, None, calls=Method.update, raises=(NotFound, Conflict)),
    delete=Operation(take.OneKey, None, calls=Method.delete),
)
ROTATE = Path(
    "keys/{id}/rotate",
    "Make the key's next version; the one before opens it too until the grace period ends.",
    update=Operation(take.RotateKey, dict, calls=Method.rotate, raises=(NotFound, Conflict)),
)
RETIRE = Path(
    "keys/{id}/retire",
    "End the grace period of a rotation now.",
    update=Operation(take.OneKey, None, calls=Method.retire, raises=(NotFound, Conflict)),
)
REVOKE = Path(
    "keys/{id}/revoke",
    "End the key now; it stays listed for 30 days.",
    update=Operation(take.OneKey, None, calls=Method.revoke, raises=(NotFound,)),
)
LOGIN = Path(
    "login",
    "Log in with a key.",
    update=Operation(take.LogIn, Auth, calls=Method.log_in, raises=(PermissionDenied,), authenticated=False),
)

PATHS = (KEYS, KEY, ROTATE, RETIRE, REVOKE, LOGIN)
Method.PATHS = PATHS
