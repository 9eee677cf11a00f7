"""A worker for connections in the test's own process."""

import asyncio

from broker.server.outbox import Outbox


class Host:
    """A worker that only counts."""

    draining = False
    requests = 0

    def __init__(self):
        self.loop = asyncio.get_running_loop()
        self.outbox = Outbox(self.loop)
        self.live = set()

    def opened(self, connection):
        self.live.add(connection)

    def closed(self, connection):
        self.live.discard(connection)

    async def asgi(self, scope, receive, send):
        while scope["method"] == "POST" and (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})
