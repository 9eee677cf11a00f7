"""A server with a tiny application, run as a script by the tests: ``probe.py CONFIG``."""

import asyncio
import ctypes
import hashlib
import json
import os
import resource
import sys
from pathlib import Path
from urllib.parse import parse_qs

from broker.plugin.errors import ConfigError
from broker.server.application import serve
from broker.server.config import load_config
from broker.server.summary import Summary


def create_app(setup):
    if setup.config.cluster_name == "refused":
        raise ConfigError("the probe refuses this cluster name")
    if setup.config.cluster_name == "dies later" and setup.node.add(1) > 1:
        raise ConfigError("only the first time works")
    seen, reloads = [], []
    setup.on_reload(lambda: reloads.append("sync"))

    async def later():
        await asyncio.sleep(0)
        reloads.append("async")

    setup.on_reload(later)

    async def answer(scope, receive):
        route, query = scope["path"], parse_qs(scope["query_string"].decode())
        body = await read_body(receive) if scope["method"] in ("POST", "PUT") and route != "/unread" else b""
        if route == "/slow":
            print("a slow request has begun", flush=True)
            await asyncio.sleep(float(query["s"][0]))
        elif route == "/install":
            setup.node.install_root_key(body)
        elif route == "/fail":
            raise RuntimeError("the probe fails as asked")
        elif route == "/big":
            return b"x" * int(query["n"][0])
        key = setup.node.root_key()
        tls = scope["extensions"].get("tls")
        return json.dumps(
            {
                "pid": os.getpid(),
                "index": setup.index,
                "method": scope["method"],
                "path": route,
                "raw_path": scope["raw_path"].decode("latin-1"),
                "scheme": scope["scheme"],
                "client": scope["client"],
                "body": len(body),
                "body_hash": hashlib.sha256(body).hexdigest(),
                "seen": list(seen),
                "reloads": list(reloads),
                "root_key": key.hex() if key else None,
                "counter": setup.node.read("root"),
                "certificates": [hashlib.sha256(der).hexdigest() for der in tls["client_cert_chain_der"]]
                if tls
                else None,
                "tls_version": tls and tls["tls_version"],
                "dumpable": ctypes.CDLL(None).prctl(3, 0, 0, 0, 0),
                "core_limit": resource.getrlimit(resource.RLIMIT_CORE),
                "umask": os.umask(0o077),
            }
        ).encode()

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            while True:
                kind = (await receive())["type"]
                await send({"type": kind + ".complete"})
                if kind == "lifespan.shutdown":
                    return
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            while (message := await receive())["type"] == "websocket.receive":
                await send({"type": "websocket.send", "text": message["text"] * 2})
            return
        seen.append(f"{scope['method']} {scope['path']}")
        out = await answer(scope, receive)
        headers = [(b"content-type", b"application/json")]
        if scope["path"] != "/chunked":
            headers.append((b"content-length", str(len(out)).encode()))
        if scope["path"] == "/break":
            headers.append((b"x-a", b"b\r\nX-Evil: 1"))
        status = 204 if scope["path"] == "/empty" else 413 if scope["path"] == "/unread" else 200
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if status == 204 else out})

    return app


async def read_body(receive):
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return body
        body += message["body"]
        if not message["more_body"]:
            return body


if __name__ == "__main__":
    try:
        config = load_config([Path(sys.argv[1])])
        serve(config, create_app, banner=Summary(config).lines)
    except ConfigError as error:
        sys.exit(f"Error: {error}")
