"""``sys/host-info`` and ``sys/config/state/sanitized``: the machine a node runs on, and how it is configured.

Source: Vault's API documentation; the figures are the kernel's own (``/proc``, proc(5)).
"""

import os
import platform
import shutil
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path as File
from typing import Any

from broker.core.system.parts import SystemBase
from broker.plugin.context import Context
from broker.plugin.fields import Nothing
from broker.plugin.paths import Operation, Path

TICKS = os.sysconf("SC_CLK_TCK")
_TIMES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal", "guest", "guestNice")


def _lines(name: str) -> list[str]:
    try:
        return File("/proc", name).read_text(errors="replace").splitlines()
    except OSError:
        return []


def _cpus() -> Iterator[dict[str, Any]]:
    found: dict[str, str] = {}
    for line in [*_lines("cpuinfo"), ""]:
        name, colon, value = line.partition(":")
        if colon:
            found[name.strip()] = value.strip()
        elif found:
            yield {
                "cpu": int(found.get("processor", 0)),
                "vendorId": found.get("vendor_id", ""),
                "family": found.get("cpu family", ""),
                "model": found.get("model", ""),
                "modelName": found.get("model name", ""),
                "physicalId": found.get("physical id", ""),
                "coreId": found.get("core id", ""),
                "cores": int(found.get("cpu cores", 1)),
                "mhz": float(found.get("cpu MHz", 0)),
                "flags": found.get("flags", "").split(),
            }
            found = {}


def _cpu_times() -> list[dict[str, Any]]:
    rows = [line.split() for line in _lines("stat") if line.startswith("cpu") and line[3].isdigit()]
    return [
        {"cpu": row[0], **{name: int(value) / TICKS for name, value in zip(_TIMES, row[1:], strict=False)}}
        for row in rows
    ]


def _memory() -> dict[str, int]:
    sizes = {}
    for line in _lines("meminfo"):
        name, _, value = line.partition(":")
        number = value.split()
        if number:
            sizes[name] = int(number[0]) * (1024 if number[1:] == ["kB"] else 1)
    total, free = sizes.get("MemTotal", 0), sizes.get("MemFree", 0)
    available = sizes.get("MemAvailable", free)
    return {
        "total": total,
        "available": available,
        "used": total - available,
        "free": free,
        "buffers": sizes.get("Buffers", 0),
        "cached": sizes.get("Cached", 0),
        "swaptotal": sizes.get("SwapTotal", 0),
        "swapfree": sizes.get("SwapFree", 0),
    }


def _disk() -> list[dict[str, Any]]:
    usage = shutil.disk_usage("/")
    taken = usage.used + usage.free
    percent = usage.used / taken * 100 if taken else 0.0
    return [
        {"path": "/", "total": usage.total, "free": usage.free, "used": usage.used, "usedPercent": percent}
    ]


def _host() -> dict[str, Any]:
    seconds = int(float((_lines("uptime") or ["0"])[0].split()[0]))
    return {
        "hostname": socket.gethostname(),
        "uptime": seconds,
        "bootTime": int(time.time()) - seconds,
        "procs": sum(name.isdigit() for name in os.listdir("/proc")) if File("/proc").is_dir() else 0,
        "os": platform.system().lower(),
        "platform": platform.system().lower(),
        "kernelVersion": platform.release(),
        "kernelArch": platform.machine(),
    }


def _everything() -> dict[str, Any]:
    return {
        "timestamp": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        "cpu": list(_cpus()),
        "cpu_times": _cpu_times(),
        "disk": _disk(),
        "host": _host(),
        "memory": _memory(),
    }


async def read_host(system: SystemBase, ctx: Context, args: Nothing) -> dict[str, Any]:
    found: dict[str, Any] = await ctx.blocking(_everything)
    return found


# The configuration

_SHOWN = (
    "api_addr",
    "cluster_addr",
    "cluster_name",
    "default_lease_ttl",
    "default_max_request_duration",
    "enable_response_header_hostname",
    "log_format",
    "log_level",
    "max_lease_ttl",
    "unsafe_allow_api_audit_creation",
)
# What a configuration may ask for and this server does not have: off, whatever the file says.
_NOT_THERE = ("enable_ui", "introspection_endpoint", "raw_storage_endpoint")
_LISTENER = ("address", "tls_disable", "tls_min_version", "max_request_size", "require_request_header")


def sanitized(config: Any) -> dict[str, Any]:
    """Return what of a configuration may be shown: names, addresses and limits that are listed here, nothing else.

    A stanza's own settings (of storage, seals, audit devices) may hold credentials and are left out altogether.
    """
    return {
        **{name: _plain(getattr(config, name)) for name in _SHOWN},
        "disable_mlock": config.disable_mlock,
        **dict.fromkeys(_NOT_THERE, False),
        "pid_file": str(config.pid_file or ""),
        "workers": config.workers,
        "listeners": [
            {"type": item.kind, "config": {name: _plain(getattr(item, name)) for name in _LISTENER}}
            for item in config.listeners
        ],
        "seals": [{"type": item.type, "disabled": item.disabled} for item in config.seals] or [_SHAMIR],
        "storage": {"type": config.storage.type},
    }


_SHAMIR = {"type": "shamir", "disabled": False}


def _plain(value: Any) -> Any:
    return int(value.total_seconds()) if isinstance(value, timedelta) else value


async def read_state(system: SystemBase, ctx: Context, args: Nothing) -> dict[str, Any]:
    return dict(system.parts.settings.sanitized)


PATHS = (
    Path(
        "host-info",
        "The machine that this node runs on: processors, memory, disk, uptime.",
        read=Operation(Nothing, dict, calls=read_host, root_only=True),
    ),
    Path(
        "config/state/sanitized",
        "The server's configuration, without anything that might be secret.",
        read=Operation(Nothing, dict, calls=read_state, root_only=True),
    ),
)
