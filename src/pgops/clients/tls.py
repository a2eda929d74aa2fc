"""The client side of TLS, from the configuration. Only the standard library; loaded when a connection is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgops.config.model import TlsConfig

if TYPE_CHECKING:
    import ssl


class TlsFault(Exception):
    """A TLS file of the configuration cannot be used; the text names it and holds no secret."""


def client_context(config: TlsConfig, *, trusting: bool = True) -> ssl.SSLContext:
    """An SSL context as configured. Raises `TlsFault`.

    `trusting` False gives an empty one for connections without TLS: loading the CA bundle takes 30 ms.
    """
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if not trusting:
        return context
    if not config.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif config.ca_file:
        try:
            context.load_verify_locations(cafile=config.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise TlsFault(f"tls.ca_file {config.ca_file}: {_reason(error, 'holds no certificate')}") from None
    else:
        context.load_default_certs()
    if config.cert_file:
        secret = config.key_password.reveal() if config.key_password else ""
        try:
            # Without a password function OpenSSL would ask at the terminal.
            context.load_cert_chain(config.cert_file, config.key_file, lambda: secret)
        except (OSError, ssl.SSLError, ValueError) as error:
            files = " and ".join(file for file in (config.cert_file, config.key_file) if file)
            said = _reason(error, "not a pair of certificate and key, or tls.key_password is wrong")
            raise TlsFault(f"tls.cert_file {files}: {said}") from None
    return context


def _reason(error: Exception, otherwise: str) -> str:
    import ssl

    if isinstance(error, OSError) and not isinstance(error, ssl.SSLError) and error.strerror:
        return error.strerror
    return otherwise
