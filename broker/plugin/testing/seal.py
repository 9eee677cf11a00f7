"""The promises of a seal as tests. Subclass ``SealContract`` and say how to build one.

```python
class TestMySeal(SealContract):
    @pytest.fixture
    def seal(self):
        return MySeal.build({"key_id": "x"})
```
A seal that needs shares overrides ``key`` with what they restore. Needs pytest and pytest-asyncio in auto mode.
"""

import pytest

from broker.plugin.errors import Tampered
from broker.plugin.seal import Seal, SealKind
from broker.plugin.secret import Secret

__all__ = ["SealContract"]

ROOT_KEY = Secret(bytes(range(32)))


class SealContract:
    """What every seal keeps. ``key`` is what it is given beside the root key: nothing, for an auto seal."""

    @pytest.fixture
    def key(self) -> Secret[bytes] | None:
        return None

    def test_its_kind_says_whether_people_are_needed(self, seal: Seal, key: Secret[bytes] | None) -> None:
        assert seal.kind is (SealKind.AUTO if key is None else SealKind.SHARES)

    async def test_what_it_wrapped_opens(self, seal: Seal, key: Secret[bytes] | None) -> None:
        wrapped = await seal.wrap(ROOT_KEY, key)
        assert (await seal.unwrap(wrapped, key)).reveal() == ROOT_KEY.reveal()
        assert not seal.stale(wrapped)

    async def test_the_root_key_does_not_stand_in_what_it_wrapped(
        self, seal: Seal, key: Secret[bytes] | None
    ) -> None:
        assert ROOT_KEY.reveal() not in await seal.wrap(ROOT_KEY, key)

    async def test_wrapping_twice_never_gives_the_same_bytes(
        self, seal: Seal, key: Secret[bytes] | None
    ) -> None:
        assert len({await seal.wrap(ROOT_KEY, key) for _ in range(20)}) == 20

    async def test_every_flipped_bit_and_every_cut_is_noticed(
        self, seal: Seal, key: Secret[bytes] | None
    ) -> None:
        wrapped = await seal.wrap(ROOT_KEY, key)
        bent = [
            wrapped[:at] + bytes([wrapped[at] ^ 1 << bit]) + wrapped[at + 1 :]
            for at in range(len(wrapped))
            for bit in range(8)
        ]
        for altered in [*bent, *(wrapped[:end] for end in range(len(wrapped))), wrapped + b"x"]:
            with pytest.raises(Tampered):
                await seal.unwrap(altered, key)

    async def test_closing_twice_is_allowed(self, seal: Seal) -> None:
        await seal.close()
        await seal.close()
