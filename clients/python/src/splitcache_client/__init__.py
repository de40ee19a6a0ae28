"""Reads Matrix events through a splitcache sidecar, with a near cache and an outbox."""

from splitcache_client.aio import AsyncSplitCache
from splitcache_client.certificates import CertificateError
from splitcache_client.changes import Change, EventChanged, HomeserverPurged, Reset, RoomPurged
from splitcache_client.channel import Security
from splitcache_client.client import SplitCache
from splitcache_client.event import Event, Redaction
from splitcache_client.freshness_report import FreshnessReport
from splitcache_client.metrics import ClientMetrics, Counters
from splitcache_client.options import Options, View
from splitcache_client.outbox_database import OutboxDatabase, OutboxError
from splitcache_client.pending import Pending
from splitcache_client.reading import Found, Position

__all__ = [
    "AsyncSplitCache",
    "CertificateError",
    "Change",
    "ClientMetrics",
    "Counters",
    "Event",
    "EventChanged",
    "Found",
    "FreshnessReport",
    "HomeserverPurged",
    "Options",
    "OutboxDatabase",
    "OutboxError",
    "Pending",
    "Position",
    "Redaction",
    "Reset",
    "RoomPurged",
    "Security",
    "SplitCache",
    "View",
]
