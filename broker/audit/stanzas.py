"""A device of the configuration file, looked at before anything is written to it."""

from collections.abc import Mapping

from broker.audit.options import device_options, parse_record_options
from broker.plugin.audit import AuditDeviceType, DeviceConfig


def check_device(kind: AuditDeviceType, path: str, options: Mapping[str, str]) -> None:
    """Build the device, have it look at its target, and let it go. Raises: InvalidRequest, best WrongOption."""
    parse_record_options(options)
    device = kind.build(DeviceConfig(path, device_options(options, kind.options), from_config=True))
    try:
        device.check()
    finally:
        device.close()


__all__ = ["check_device"]
