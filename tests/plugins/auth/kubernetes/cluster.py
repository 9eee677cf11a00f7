"""A small Kubernetes API server: service accounts with tokens, TokenReview, and namespaces with labels.

What it answers follows the documented API (authentication.k8s.io/v1, v1 Status and Namespace), as far as an auth method asks.
"""

from __future__ import annotations

import json
import secrets
import ssl
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

REVIEWER = "reviewer-token-of-the-cluster"
AUDIENCE = "https://kubernetes.default.svc"
KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())


def public_pem(key: Any) -> str:
    return (
        key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )


@dataclass
class Cluster:
    """``mood`` makes it misbehave: slow, huge, redirect, html, broken, down, or nothing."""

    labels: dict[str, dict[str, str]] = field(default_factory=dict)
    live: dict[str, dict[str, Any]] = field(default_factory=dict)
    seen: list[dict[str, Any]] = field(default_factory=list)
    mood: str = ""
    address: str = ""
    audience_aware: bool = True
    answer: dict[str, Any] | None = None

    def token(
        self,
        name: str = "app",
        namespace: str = "prod",
        uid: str = "uid-of-app",
        *,
        audiences: tuple[str, ...] | str = (AUDIENCE,),
        issued: bool = True,
        key: Any = KEY,
        algorithm: str = "RS256",
        headers: dict[str, Any] | None = None,
        **claims: Any,
    ) -> str:
        """A projected service account token; ``issued=False`` makes one that the cluster does not know."""
        now = int(time.time())
        body = {
            "aud": list(audiences) if not isinstance(audiences, str) else audiences,
            "exp": now + 3600,
            "iat": now,
            "nbf": now,
            "iss": AUDIENCE,
            "sub": f"system:serviceaccount:{namespace}:{name}",
            "jti": secrets.token_hex(8),
            "kubernetes.io": {
                "namespace": namespace,
                "pod": {"name": f"{name}-0", "uid": "uid-of-pod"},
                "serviceaccount": {"name": name, "uid": uid},
            },
        } | claims
        body = {name: value for name, value in body.items() if value is not None}
        made = jwt.encode(body, key, algorithm=algorithm, headers=headers)
        if issued:
            self.live[made] = {
                "name": name,
                "namespace": namespace,
                "uid": uid,
                "audiences": body.get("aud", []),
            }
        return made

    def legacy_token(self, name: str = "app", namespace: str = "prod", uid: str = "uid-of-app") -> str:
        """A token as kept in a secret: claims of their own, no audience, no end."""
        body = {
            "iss": "kubernetes/serviceaccount",
            "kubernetes.io/serviceaccount/namespace": namespace,
            "kubernetes.io/serviceaccount/secret.name": f"{name}-token-x1",
            "kubernetes.io/serviceaccount/service-account.name": name,
            "kubernetes.io/serviceaccount/service-account.uid": uid,
            "sub": f"system:serviceaccount:{namespace}:{name}",
        }
        made = jwt.encode(body, KEY, algorithm="RS256")
        self.live[made] = {"name": name, "namespace": namespace, "uid": uid, "audiences": []}
        return made

    def review(self, spec: dict[str, Any]) -> dict[str, Any]:
        """The status of a TokenReview."""
        known = self.live.get(spec.get("token", ""))
        if known is None:
            return {"user": {}, "error": "[invalid bearer token, Token has been invalidated]"}
        wanted = spec.get("audiences") or [AUDIENCE]
        held = known["audiences"] or [AUDIENCE]
        common = [audience for audience in wanted if audience in held]
        if not common:
            return {
                "user": {},
                "error": f"token audiences {held} is invalid for the target audiences {wanted}",
            }
        status = {
            "authenticated": True,
            "user": {
                "username": f"system:serviceaccount:{known['namespace']}:{known['name']}",
                "uid": known["uid"],
                "groups": ["system:serviceaccounts", f"system:serviceaccounts:{known['namespace']}"],
            },
        }
        return status | ({"audiences": common} if self.audience_aware else {})


def failure(code: int, reason: str, message: str) -> dict[str, Any]:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": code,
    }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    cluster: Cluster

    def log_message(self, *args: Any) -> None:
        """Tests read ``seen`` instead."""

    def _send(self, code: int, body: Any, **headers: str) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(code)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _moody(self) -> bool:
        mood = self.cluster.mood
        if mood == "slow":
            time.sleep(0.2)
            self.close_connection = True
            return True
        if mood == "redirect":
            self._send(307, b"", Location=self.cluster.address + "/elsewhere")
        elif mood == "huge":
            self._send(201, b'{"x":"' + b"x" * (3 << 20) + b'"}')
        elif mood == "html":
            self._send(200, b"<html>", **{"Content-Type": "text/html"})
        elif mood == "broken":
            self._send(500, failure(500, "InternalError", "etcd is away"))
        elif mood == "odd":
            self._send(201, self.cluster.answer)
        return mood != ""

    def _allowed(self) -> bool:
        bearer = self.headers.get("Authorization", "")
        if bearer == f"Bearer {REVIEWER}" or bearer.removeprefix("Bearer ") in self.cluster.live:
            return True
        self._send(401, failure(401, "Unauthorized", "Unauthorized"))
        return False

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", "0"))))
        self.cluster.seen.append(
            {"path": self.path, "bearer": self.headers.get("Authorization"), "body": body}
        )
        if self._moody() or not self._allowed():
            return
        if self.path != "/apis/authentication.k8s.io/v1/tokenreviews":
            self._send(404, failure(404, "NotFound", "the server could not find the requested resource"))
            return
        about = {"kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1", "metadata": {}}
        spec = body["spec"]
        self._send(201, about | {"spec": spec, "status": self.cluster.review(spec)})

    def do_GET(self) -> None:
        self.cluster.seen.append(
            {"path": self.path, "bearer": self.headers.get("Authorization"), "body": None}
        )
        if self._moody() or not self._allowed():
            return
        name = self.path.removeprefix("/api/v1/namespaces/")
        if name not in self.cluster.labels:
            self._send(404, failure(404, "NotFound", f'namespaces "{name}" not found'))
            return
        metadata = {"name": name, "labels": self.cluster.labels[name]}
        self._send(200, {"kind": "Namespace", "apiVersion": "v1", "metadata": metadata})


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is what some tests are about."""


def serve(cluster: Cluster, files: tuple[Path, Path] | None = None) -> ThreadingHTTPServer:
    """Start it on a free port, behind TLS if ``files`` holds certificate and key. The caller calls ``stop``."""
    handler = type("Handler", (_Handler,), {"cluster": cluster})
    server = _Server(("127.0.0.1", 0), handler)
    scheme = "http"
    if files is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*files)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        scheme = "https"
    cluster.address = f"{scheme}://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    return server


def stop(server: ThreadingHTTPServer) -> None:
    server.shutdown()
    server.server_close()
