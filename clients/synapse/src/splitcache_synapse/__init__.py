"""Lets Synapse read events from a splitcache sidecar. homeserver.yaml names SplitcacheModule."""

from splitcache_synapse.module import SplitcacheModule

__all__ = ["SplitcacheModule"]
