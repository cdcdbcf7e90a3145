"""Servers and certificates on loopback, for the tests of the network layer."""

import contextlib
import datetime
import gc
import ipaddress
import select
import socket
import ssl
import threading

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests import waiting
from tests.waiting import WITHIN_SECONDS

DAY = datetime.timedelta(days=1)
PATIENCE = WITHIN_SECONDS  # for what should take milliseconds


class Authority:
    """A certificate authority in a directory of its own."""

    def __init__(self, directory):
        self._directory = directory
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback authority")])
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.ca_file = directory / "ca.pem"
        certificate = self._sign(self._name, self._key, authority=True)
        self.ca_file.write_bytes(certificate.public_bytes(Encoding.PEM))

    def server_context(self, *names, valid_days=1):
        """Return a context for a server that is called by `names`; expired if days are negative."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server")])
        certificate = self._sign(subject, key, names=names, valid_days=valid_days)
        path = self._directory / "server.pem"
        path.write_bytes(
            certificate.public_bytes(Encoding.PEM)
            + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    def _sign(self, subject, key, *, names=(), authority=False, valid_days=1):
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 5 * DAY)
            .not_valid_after(now + valid_days * DAY)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        if names:
            alternatives = x509.SubjectAlternativeName([_general_name(name) for name in names])
            builder = builder.add_extension(alternatives, critical=False)
        return builder.sign(self._key, hashes.SHA256())


def _general_name(name):
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


@contextlib.contextmanager
def no_garbage_collector():
    """Free only what nothing holds any more, so that weak references tell of cycles."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@contextlib.contextmanager
def serve(handle):
    """Call `handle(sock)` in a thread for each connection to the port that is yielded."""
    listener = socket.create_server(("127.0.0.1", 0))
    sockets = []

    def run(sock):
        with contextlib.suppress(OSError, ssl.SSLError):
            handle(sock)

    def accept():
        with contextlib.suppress(OSError):
            while True:
                sock, _ = listener.accept()
                sockets.append(sock)
                threading.Thread(target=run, args=(sock,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for sock in sockets:
            sock.close()


def reset(sock):
    """Close a socket so that the other side sees a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    sock.close()


def readable(thing, seconds=PATIENCE):
    """Wait until a socket can be read; fail when it cannot."""
    assert select.select([thing], [], [], seconds)[0], "nothing came"


def eventually(probe):
    """Return the first true result of `probe`, asked again and again."""
    return waiting.eventually(probe, every=0.005)


def exactly(sock, count):
    """Read so many bytes; raises ConnectionResetError when the other side ends before."""
    data = b""
    while len(data) < count:
        piece = sock.recv(count - len(data))
        if not piece:
            raise ConnectionResetError
        data += piece
    return data


def read_head(sock):
    """Read an HTTP head."""
    head = b""
    while b"\r\n\r\n" not in head:
        data = sock.recv(4096)
        if not data:
            return head
        head += data
    return head


def connect_proxy(heads, host=None):
    """Return a CONNECT proxy for `serve`; it notes what it is asked, and may lead to a `host`."""

    def forward(source, target):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def handle(sock):
        head = read_head(sock)
        if not head.endswith(b"\r\n\r\n"):  # it hung up
            return
        heads.append(head)
        asked, _, port = head.split()[1].decode().rpartition(":")
        with socket.create_connection((host or asked, int(port))) as server:
            sock.sendall(b"HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n")
            back = threading.Thread(target=forward, args=(server, sock), daemon=True)
            back.start()
            forward(sock, server)
            back.join()

    return handle
