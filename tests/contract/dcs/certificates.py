"""A CA, a server certificate for loopback addresses and a client certificate, made by openssl."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

OPENSSL = shutil.which("openssl")


def make_certificates(home: Path, addresses: tuple[str, ...]) -> None:
    """Writes ca.pem, server.pem/.key, client.pem/.key, client-locked.key (password `hush`) and stranger.pem into `home`."""
    if not OPENSSL:
        pytest.skip("openssl is not installed here: apt-get install openssl")
    for authority in ("ca", "stranger"):
        _openssl(
            *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN=pgops test {authority}"),
            *("-keyout", f"{home}/{authority}.key", "-out", f"{home}/{authority}.pem"),
        )
    names = ",".join(f"IP:{address}" for address in addresses)
    for name in ("server", "client"):
        extensions = home / f"{name}.ext"
        extensions.write_text(f"subjectAltName={names}\nextendedKeyUsage=serverAuth,clientAuth\n")
        request = f"{home}/{name}.csr"
        _openssl(
            *("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN=pgops-{name}"),
            *("-keyout", f"{home}/{name}.key", "-out", request),
        )
        _openssl(
            *("x509", "-req", "-in", request, "-CA", f"{home}/ca.pem", "-CAkey", f"{home}/ca.key", "-CAcreateserial"),
            *("-days", "2", "-extfile", str(extensions), "-out", f"{home}/{name}.pem"),
        )
    _openssl(
        "rsa", "-aes256", "-passout", "pass:hush", "-in", f"{home}/client.key", "-out", f"{home}/client-locked.key"
    )


def _openssl(*argv: str) -> None:
    subprocess.run([OPENSSL or "", *argv], check=True, capture_output=True, timeout=60)
