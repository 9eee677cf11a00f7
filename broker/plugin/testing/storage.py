"""The promises of a storage backend as tests. Subclass ``StoreContract`` and say how to reach an empty backend.

```python
class TestMyBackend(StoreContract):
    @pytest.fixture
    def reach(self, tmp_path):
        return Reach("my_plugin:BACKEND", {"path": str(tmp_path)})
```
Needs pytest and pytest-asyncio in auto mode. Some tests start a second process; one kills it.
"""

import pytest

_PARTS = ("entries", "lives", "order", "processes")
pytest.register_assert_rewrite(*(f"broker.plugin.testing.storage_{part}" for part in _PARTS))

from .storage_entries import EntriesContract  # noqa: E402 (after their asserts are prepared)
from .storage_lives import LivesContract  # noqa: E402
from .storage_order import OrderContract  # noqa: E402
from .storage_processes import ProcessesContract  # noqa: E402
from .storage_reach import Reach  # noqa: E402

__all__ = ["Reach", "StoreContract"]


class StoreContract(EntriesContract, OrderContract, LivesContract, ProcessesContract):
    """What every backend keeps. ``reach`` leads to an empty backend."""
