"""The Redis journal over TLS, with a server that ends it in front of Redis."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from actors.runtime.ports import JournalUnavailable, Stored
from tests.integration.redis_fixtures import SHARD, Box, opened, step


def certificate(directory: Path) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1 and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = directory / "certificate.pem", directory / "key.pem"
    certificate_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate_file, key_file


@asynccontextmanager
async def tls_in_front_of(box: Box, certificate_file: Path, key_file: Path) -> AsyncIterator[int]:
    """A port that speaks TLS and passes everything on to the server's socket."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate_file, key_file)
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        from_redis, to_redis = await asyncio.open_unix_connection(box.server.socket_path)
        await asyncio.gather(_pass_on(reader, to_redis), _pass_on(from_redis, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]
    await asyncio.gather(*tasks, return_exceptions=True)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while received := await reader.read(65536):
            writer.write(received)
            await writer.drain()
    except OSError:
        pass  # either side may hang up
    finally:
        writer.close()


async def test_commits_travel_over_tls_with_a_password(tmp_path: Path) -> None:
    certificate_file, key_file = certificate(tmp_path)
    box = Box(tmp_path, "--requirepass", "s3cret")
    try:
        async with tls_in_front_of(box, certificate_file, key_file) as port:
            url = f"rediss://:s3cret@127.0.0.1:{port}/2?ssl_ca_certs={certificate_file}"
            async with opened(url) as journal:
                owner = await journal.acquire(SHARD, "A")
                assert await journal.commit([step(owner, 1, 0, size=50_000)]) == [Stored()]
            with pytest.raises(JournalUnavailable, match=r"(?i)certificate"):
                async with opened(f"rediss://:s3cret@127.0.0.1:{port}"):
                    raise AssertionError("it trusted a stranger")
    finally:
        box.kill()
