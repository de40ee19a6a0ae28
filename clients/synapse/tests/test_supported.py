"""Which releases of Synapse the module starts beside."""

from __future__ import annotations

import pytest
import synapse

from splitcache_synapse.supported import (
    SUPPORTED_RELEASES,
    UnsupportedSynapse,
    require_supported,
)


def test_knows_the_release_that_the_tests_run_with() -> None:
    require_supported(synapse.__version__)


@pytest.mark.parametrize("release", ["1.163.3", "1.163.2rc1", "1.67.0", "2.0.0", ""])
def test_refuses_another_release_and_says_what_to_do(release: str) -> None:
    with pytest.raises(UnsupportedSynapse) as refused:
        require_supported(release)
    assert f"does not know Synapse {release}" in str(refused.value)
    assert all(known in str(refused.value) for known in SUPPORTED_RELEASES)
