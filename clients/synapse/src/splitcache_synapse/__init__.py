"""Lets Synapse read events from a splitcache sidecar. homeserver.yaml names SplitcacheModule."""

from splitcache_synapse.entry import SplitcacheModule

__all__ = ["SplitcacheModule"]
