"""An OCSP responder over HTTP, which can be told to be wrong in every way."""

from __future__ import annotations

import base64
import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp

from .authority import NOW, Holder

STATUS = {
    "good": ocsp.OCSPCertStatus.GOOD,
    "revoked": ocsp.OCSPCertStatus.REVOKED,
    "unknown": ocsp.OCSPCertStatus.UNKNOWN,
}


class Responder:
    """Speaks for ``issuer``; ``says`` maps serial numbers to good, revoked or unknown (good for those it does not hold).

    ``signer`` signs in its place, ``since`` and ``until`` are hours from now, ``mood`` is how it misbehaves.
    """

    def __init__(self, issuer: Holder, *known: Holder) -> None:
        self.issuer, self.known = issuer, {holder.serial: holder for holder in known}
        self.says: dict[int, str] = {}
        self.signer: Holder | None = None
        self.sends: tuple[Holder, ...] = ()
        self.about: Holder | None = None
        self.since, self.until = -1.0, 1.0
        self.nonce: bytes | None = None
        self.mood = ""
        self.asked = 0
        self.stopped = threading.Event()
        responder = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(base64.b64decode(unquote(self.path.lstrip("/"))))

            def do_POST(self) -> None:
                self._answer(self.rfile.read(int(self.headers["Content-Length"])))

            def _answer(self, body: bytes) -> None:
                status, text = responder.answer(body)
                self.send_response(status)
                self.send_header("Location", "http://127.0.0.1:1/")
                self.send_header("Content-Type", "application/ocsp-response")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *args: Any) -> None:
                """Tests read ``asked``."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *args: Any) -> None:
                """Clients give up on it."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()

    def stop(self) -> None:
        self.stopped.set()
        self.server.shutdown()
        self.server.server_close()

    def answer(self, body: bytes) -> tuple[int, bytes]:
        self.asked += 1
        if self.mood == "slow":
            self.stopped.wait(30)
        if self.mood in ("error", "redirect", "junk", "huge", "empty"):
            code = {"error": 500, "redirect": 302}.get(self.mood, 200)
            return code, {"junk": b"junk", "huge": b"x" * (1 << 20)}.get(self.mood, b"")
        if self.mood == "later":
            refusal = ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER)
            return 200, refusal.public_bytes(serialization.Encoding.DER)
        return 200, self._signed(ocsp.load_der_ocsp_request(body))

    def _signed(self, request: ocsp.OCSPRequest) -> bytes:
        holder = self.about or self.known[request.serial_number]
        status = STATUS[self.says.get(holder.serial, "good")]
        revoked = status is ocsp.OCSPCertStatus.REVOKED
        signer = self.signer or self.issuer
        builder = ocsp.OCSPResponseBuilder().add_response(
            cert=holder.certificate,
            issuer=self.issuer.certificate,
            algorithm=hashes.SHA1(),
            cert_status=status,
            this_update=NOW + timedelta(hours=self.since),
            next_update=NOW + timedelta(hours=self.until) if self.until else None,
            revocation_time=NOW - timedelta(hours=2) if revoked else None,
            revocation_reason=None,
        )
        builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, signer.certificate)
        sends = self.sends or ((signer,) if self.signer else ())
        if sends:
            builder = builder.certificates([sent.certificate for sent in sends])
        try:
            nonce = request.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce
        except x509.ExtensionNotFound:
            nonce = None
        if self.nonce or nonce:
            builder = builder.add_extension(x509.OCSPNonce(self.nonce or nonce or b""), critical=False)
        return builder.sign(signer.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def names_responder(url: str) -> tuple[x509.ExtensionType, bool]:
    """The extension by which a certificate names its responder."""
    access = x509.AccessDescription(
        x509.oid.AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(url)
    )
    return x509.AuthorityInformationAccess([access]), False
