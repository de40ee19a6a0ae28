"""The module that homeserver.yaml names. Imports nothing that a new release of Synapse could break
before it is known that the release is supported."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import synapse

from splitcache_synapse.config import BridgeConfig, parse_config
from splitcache_synapse.metrics import report_active
from splitcache_synapse.supported import differences, known_functions

if TYPE_CHECKING:
    from synapse.module_api import ModuleApi

    from splitcache_synapse.module import Bridge

logger = logging.getLogger(__name__)


class SplitcacheModule:
    """Lets this process of Synapse read events from a splitcache sidecar.

    Beside a release of Synapse that it does not know, it changes nothing, and says so. Raises
    ConfigError if the tables of the outbox are not there and cannot be created.
    """

    def __init__(self, config: BridgeConfig, api: ModuleApi) -> None:
        # Modules have no other way to the storage layer.
        hs = api._hs
        # None: Synapse reads its database alone.
        self.bridge: Bridge | None = None
        found = unknown_parts() if config.enabled else ()
        if config.enabled:
            report_active(hs.hostname, not found)
        if not config.enabled:
            from splitcache_synapse.bystander import stand_by

            stand_by(hs)
            logger.info("splitcache: switched off")
        elif found:
            _report_unsupported(found)
            self._stand_by_if_possible(hs)
        else:
            from splitcache_synapse.module import Bridge

            self.bridge = Bridge(config, hs)

    @staticmethod
    def parse_config(config: Mapping[str, Any] | None) -> BridgeConfig:
        """Called by Synapse with the `config` of the `modules` entry."""
        return parse_config(config)

    @staticmethod
    def _stand_by_if_possible(hs: Any) -> None:
        try:
            from splitcache_synapse.bystander import stand_by

            stand_by(hs)
        except Exception:
            # Synapse starts all the same.
            logger.exception(
                "splitcache: processes with the module are not kept from the cache; stop them, or "
                "run `splitcache purge-homeserver` once none is left"
            )


@cache
def unknown_parts() -> tuple[str, ...]:
    """In what the Synapse of this process is not as any known release. Empty: it is supported."""
    return tuple(differences(Path(synapse.__file__).parent, known_functions()))


def _report_unsupported(found: tuple[str, ...]) -> None:
    for difference in found:
        logger.error("splitcache: Synapse %s: %s", synapse.__version__, difference)
    logger.error(
        "splitcache: this module does not support Synapse %s, changes nothing in it and reads no "
        "events from the sidecar: they are read from the database only. Install a release of the "
        "module that supports it",
        synapse.__version__,
    )
