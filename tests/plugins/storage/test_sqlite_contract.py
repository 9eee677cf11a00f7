from pathlib import Path

import pytest

from broker.plugin.testing.storage import Reach, StoreContract


class TestSqlite(StoreContract):
    @pytest.fixture
    def reach(self, tmp_path: Path) -> Reach:
        return Reach("broker_plugins.storage.sqlite:SQLITE", {"path": str(tmp_path / "data")})
