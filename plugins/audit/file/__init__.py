"""The ``file`` audit device: one line per record, appended to a local file."""

from collections.abc import Sequence

from broker.plugin import hookimpl
from broker.plugin.audit import AuditDeviceType

from .device import FileDevice
from .options import OPTIONS, PATH_OPTIONS


@hookimpl
def register_audit_devices() -> Sequence[AuditDeviceType]:
    """Offer the file device."""
    return [
        AuditDeviceType(
            "file",
            build=FileDevice.build,
            summary="Append records to a local file, one JSON object a line.",
            options=OPTIONS,
            path_options=PATH_OPTIONS,
        )
    ]
