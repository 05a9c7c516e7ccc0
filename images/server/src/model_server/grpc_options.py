"""What the gRPC port takes of its clients: our flags, and gRPC's own names for some of it in grpc_channel_arguments."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from model_server.grpc_calls import Limits as CallLimits
from serving_http.http2.limits import Limits as ConnectionLimits

if TYPE_CHECKING:
    from model_server.flags import Flags

LOG = logging.getLogger(__name__)
# What headers may take (gRPC's own default), and where a connection is closed for them.
METADATA_BYTES, ABSOLUTE_METADATA_BYTES = 8 << 10, 16 << 10
# A batch of pictures in one frame, not in dozens of 16 KiB.
FRAME_BYTES = 1 << 20
FIRST_BYTES_SECONDS = 15.0
# A client that went without a word is found by pings; one that has nothing to ask is told to connect again.
PING_SECONDS, PONG_SECONDS, IDLE_SECONDS = 60.0, 20.0, 3600.0
# A client reads nothing of its answers for so long.
WRITE_SECONDS = 60.0
MAXIMUM_CONNECTIONS = 16_384
UNBOUNDED_BYTES = 2**31 - 1
# gRPC's arguments that are acted on (grpc/impl/channel_arg_names.h). Some are milliseconds.
MESSAGE, METADATA, STREAMS = "grpc.max_receive_message_length", "grpc.max_metadata_size", "grpc.max_concurrent_streams"
CONNECTIONS, FRAME = "grpc.max_allowed_incoming_connections", "grpc.http2.max_frame_size"
PING, PONG, IDLE = "grpc.keepalive_time_ms", "grpc.keepalive_timeout_ms", "grpc.max_connection_idle_ms"
AGE = "grpc.max_connection_age_ms"
ACTING = frozenset({MESSAGE, METADATA, STREAMS, CONNECTIONS, FRAME, PING, PONG, IDLE, AGE})


@dataclass(frozen=True)
class Options:
    """What connections and calls may take; seconds after which a connection is to be made anew."""

    calls: CallLimits
    connection: ConnectionLimits
    connections: int
    metadata_bytes: int
    age_seconds: float


def of(flags: Flags) -> Options:
    """Return the options of the flags; what grpc_channel_arguments says wins."""
    given = _arguments(flags.grpc_channel_arguments)
    message_bytes = given.get(MESSAGE, flags.grpc_max_message_bytes)
    metadata_bytes = given.get(METADATA, METADATA_BYTES)
    calls = CallLimits(
        flags.grpc_max_concurrent_calls,
        flags.grpc_message_timeout_seconds,
        message_bytes if message_bytes >= 0 else UNBOUNDED_BYTES,
        flags.grpc_message_budget_bytes,
    )
    connection = ConnectionLimits(
        # A client with more to ask waits by itself.
        streams=given.get(STREAMS, flags.grpc_max_concurrent_calls),
        header_bytes=max(ABSOLUTE_METADATA_BYTES, 2 * metadata_bytes),
        frame_bytes=min(max(16_384, given.get(FRAME, FRAME_BYTES)), (1 << 24) - 1),
        idle_seconds=_seconds(given, IDLE, IDLE_SECONDS),
        first_bytes_seconds=FIRST_BYTES_SECONDS,
        ping_seconds=_seconds(given, PING, PING_SECONDS),
        pong_seconds=_seconds(given, PONG, PONG_SECONDS),
        write_seconds=WRITE_SECONDS,
    )
    return Options(
        calls,
        connection,
        given.get(CONNECTIONS, MAXIMUM_CONNECTIONS),
        metadata_bytes,
        _seconds(given, AGE, math.inf),
    )


def _arguments(text: str) -> dict[str, int]:
    """Return the numbers of `k=v,k=v` that are acted on; others are told."""
    found = {}
    for pair in filter(None, text.split(",")):
        key, _, value = pair.partition("=")
        if key in ACTING and value.removeprefix("-").isdecimal():
            found[key] = int(value)
        else:
            LOG.warning("grpc_channel_arguments: %s has no effect here", pair[:256])
    return found


def _seconds(given: dict[str, int], name: str, default: float) -> float:
    """Return an argument in milliseconds as seconds; gRPC's largest number and negative ones mean never."""
    milliseconds = given.get(name)
    if milliseconds is None:
        return default
    return math.inf if milliseconds < 0 or milliseconds >= UNBOUNDED_BYTES else milliseconds / 1000
