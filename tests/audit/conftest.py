"""Auditors with real file devices in a temporary folder."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from broker_plugins.audit.file import register_audit_devices

from broker.audit import Auditor
from broker.plugin.audit import AuditDeviceType


@pytest.fixture
def file_type() -> AuditDeviceType:
    return register_audit_devices()[0]


@pytest.fixture
async def auditor(file_type: AuditDeviceType) -> AsyncIterator[Auditor]:
    auditor = Auditor([file_type])
    yield auditor
    await auditor.close()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "audit.log"
