"""A ``lockout`` service that remembers what it was told, and refuses the names in ``closed``."""

from broker.plugin import PermissionDenied


class Noted:
    def __init__(self):
        self.failures = []
        self.real = set()
        self.successes = []
        self.closed = set()

    async def guard(self, ctx, name, source=""):
        if name in self.closed:
            raise PermissionDenied

    async def failed(self, ctx, name, source="", *, real=False):
        self.failures.append((name, source))
        self.real.update([name] if real else [])

    async def succeeded(self, ctx, name, source=""):
        self.successes.append((name, source))
