"""Which releases of Synapse the module knows.

The module replaces methods inside Synapse's storage layer. A release that moved one of them
would go on without a word, and serve outdated events: so the list is exact, and a release
joins it when Synapse's own tests and the end-to-end test have passed with it.
"""

from __future__ import annotations

SUPPORTED_RELEASES = frozenset({"1.163.2"})


class UnsupportedSynapse(Exception):
    """This release of Synapse is not one that the module knows."""


def require_supported(release: str) -> None:
    """Raises UnsupportedSynapse unless the module knows this release."""
    if release not in SUPPORTED_RELEASES:
        raise UnsupportedSynapse(
            f"splitcache-synapse does not know Synapse {release}; it knows "
            f"{', '.join(sorted(SUPPORTED_RELEASES))}. "
            "Take the module out of homeserver.yaml, or install a matching release of either."
        )
