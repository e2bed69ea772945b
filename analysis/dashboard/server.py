"""The dashboard's server: waitress, until Ctrl-C."""

from __future__ import annotations

import errno
import logging
import socket
from collections.abc import Callable

from flask import Flask
from waitress.server import create_server

# Browsers open some connections at a time; a slow storage holds one thread a reader.
NUM_THREADS = 8


class PortInUseError(OSError):
    """Another process listens at the address."""


def serve(app: Flask, host: str, port: int, when_ready: Callable[[], None]) -> None:
    """Serve until the process is interrupted; then end the requests under way and return.

    Args:
        app: as of `create_app`.
        host: address to bind to.
        port: to bind to.
        when_ready: called once browsers can connect.

    Raises:
        PortInUseError: the port is taken.
        OSError: the address cannot be bound for another reason.
    """
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # a waiting request is no news
    server = create_server(app, sockets=[_bound(host, port)], threads=NUM_THREADS, ident="rcsweep")
    try:
        when_ready()
        server.run()
    finally:
        server.close()


def _bound(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise OSError(error.errno, f"--host {host}: {error.strerror or error}") from error
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a server that ended just now
        bound.bind(address)
        # Two may bind with that option; only one may listen.
        bound.listen()
    except OSError as error:
        bound.close()
        if error.errno == errno.EADDRINUSE:
            raise PortInUseError(
                f"port {port} of {host} is in use; choose another one with --port, or end the process that "
                "has it"
            ) from error
        raise OSError(error.errno, f"cannot listen at {host} port {port}: {error.strerror}") from error
    return bound
