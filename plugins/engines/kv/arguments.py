"""What the paths of version 2 take."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from msgspec import UNSET, UnsetType

from broker.plugin import Field, Json, Secret

Name = Annotated[str, Field("Location of the secret below the mount.")]
Version = Annotated[int, Field("The version to read; 0 for the latest.", minimum=0)]
Options = Annotated[
    dict[str, Json] | None,
    Field('"cas": the current version as the writer knows it, 0 if the secret must be new.'),
]
MaxVersions = Annotated[
    int | UnsetType | None,
    Field("How many versions to keep; 0 for 10.", minimum=0, maximum=2**32 - 1, nullable=True),
]
CasRequired = Annotated[bool | UnsetType | None, Field("Whether every write must carry cas.", nullable=True)]
MetadataCasRequired = Annotated[
    bool | UnsetType | None, Field("Whether every change of settings must carry metadata_cas.", nullable=True)
]
After = Annotated[str, Field("A name to start behind; it need not exist.")]
Limit = Annotated[int, Field("How many names to return; all of them if it is not above 0.")]


@dataclass(frozen=True, slots=True)
class Named:
    """An operation that takes only a name."""

    path: Name


@dataclass(frozen=True, slots=True)
class Anything:
    """Whatever was sent; for paths that only explain what should have been asked."""

    body: Annotated[dict[str, Json], Field("Ignored.", rest=True)]
    path: Name = ""


@dataclass(frozen=True, slots=True)
class ReadVersion:
    path: Name
    version: Version = 0


@dataclass(frozen=True, slots=True)
class ReadOutline:
    path: Name
    version: Version = 0
    depth: Annotated[int, Field("How many levels of objects to follow; 0 for all.", minimum=0)] = 0


@dataclass(frozen=True, slots=True)
class WriteVersion:
    path: Name
    data: Annotated[Secret[dict[str, Json]] | None, Field("Contents of the secret.")] = None
    options: Options = None
    version: Annotated[int, Field("Ignored when writing.", deprecated=True)] = 0


@dataclass(frozen=True, slots=True)
class PatchVersion:
    path: Name
    data: Annotated[
        Secret[dict[str, Json]] | None, Field("A JSON merge patch (RFC 7396) for the current contents.")
    ] = None
    options: Options = None
    version: Annotated[int, Field("Ignored when writing.", deprecated=True)] = 0


@dataclass(frozen=True, slots=True)
class ChooseVersions:
    path: Name
    versions: Annotated[list[int] | None, Field("The version numbers this is about.")] = None


@dataclass(frozen=True, slots=True)
class ListNames:
    path: Name = ""
    after: After = ""
    limit: Limit = 0


@dataclass(frozen=True, slots=True)
class WriteConfig:
    max_versions: MaxVersions = UNSET
    cas_required: CasRequired = UNSET
    metadata_cas_required: MetadataCasRequired = UNSET
    delete_version_after: Annotated[
        timedelta | UnsetType | None,
        Field(
            "How long a version lives; 0 for ever, below 0 for ever whatever the secret says.", nullable=True
        ),
    ] = UNSET


@dataclass(frozen=True, slots=True)
class WriteMetadata:
    """For a write and for a patch; in a patch a member of ``custom_metadata`` that is ``null`` is removed."""

    path: Name
    max_versions: MaxVersions = UNSET
    cas_required: CasRequired = UNSET
    metadata_cas_required: MetadataCasRequired = UNSET
    delete_version_after: Annotated[
        timedelta | UnsetType | None,
        Field("How long a version lives, no longer than the mount allows.", minimum=0, nullable=True),
    ] = UNSET
    custom_metadata: Annotated[
        dict[str, Json] | UnsetType | None, Field("Up to 64 texts that describe the secret.", nullable=True)
    ] = UNSET
    metadata_cas: Annotated[
        int | UnsetType | None, Field("The current metadata version, 0 if it must be new.", nullable=True)
    ] = UNSET
