"""Tests of what only some releases of Synapse have."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

import synapse

Test = TypeVar("Test", bound=Callable[..., None])


def is_since(release: str) -> bool:
    """Whether the Synapse that the tests run with is this release or a later one."""
    return _numbers(synapse.__version__) >= _numbers(release)


def since(release: str) -> Callable[[Test], Test | None]:
    """With an older release the test is not there: CI counts a skipped one as failed."""
    return lambda test: test if is_since(release) else None


def _numbers(release: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", release)]
