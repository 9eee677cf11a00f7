"""The door of the method."""

from broker.plugin import (
    Auth,
    InvalidRequest,
    NotFound,
    Nothing,
    Operation,
    Page,
    Path,
    PermissionDenied,
    Unavailable,
)

from . import arguments as take
from .method import LdapMethod as Method

CONFIG = Path(
    "config",
    "How the directory is asked, and what its people's tokens get.",
    read=Operation(Nothing, dict, calls=Method.read_config),
    update=Operation(take.WriteConfig, None, calls=Method.write_config),
)
GROUPS = Path(
    "groups",
    "The groups that policies were given to.",
    list=Operation(Page, dict, calls=Method.list_groups),
)
GROUP = Path(
    "groups/{name:path}",
    "The policies that the members of a group get.",
    read=Operation(take.OneName, dict, calls=Method.read_group, raises=(NotFound,)),
    update=Operation(take.WriteGroup, None, calls=Method.write_group),
    delete=Operation(take.OneName, None, calls=Method.delete_group),
)
USERS = Path(
    "users",
    "The people that policies or groups were given to.",
    list=Operation(Page, dict, calls=Method.list_users),
)
USER = Path(
    "users/{name:path}",
    "The policies and groups that a person gets beyond what the directory says.",
    read=Operation(take.OneName, dict, calls=Method.read_user, raises=(NotFound,)),
    update=Operation(take.WriteUser, None, calls=Method.write_user),
    delete=Operation(take.OneName, None, calls=Method.delete_user),
)
LOGIN = Path(
    "login/{username:path}",
    "Log in with the password that the directory knows.",
    update=Operation(
        take.LogIn,
        Auth,
        calls=Method.log_in,
        raises=(InvalidRequest, PermissionDenied, Unavailable),
        authenticated=False,
    ),
)
PATHS = (CONFIG, GROUPS, GROUP, USERS, USER, LOGIN)
Method.PATHS = PATHS
