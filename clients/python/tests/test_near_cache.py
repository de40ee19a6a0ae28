"""When what is kept may be used. Each test fails when its rule is taken away."""

from __future__ import annotations

import pytest

from client_support.polls import E1, E2
from splitcache_client.near_cache import POSITION_AGE_MAX_S, NearCache


@pytest.fixture
def near() -> NearCache:
    near = NearCache()
    near.began(E1, 5, 10.0)
    return near


def test_a_position_proves_once_the_stream_has_applied_it(near: NearCache) -> None:
    assert not near.is_proved(10.0)
    near.answered(E1, 7, 10.5)
    assert not near.is_proved(10.6)
    near.advanced(6)
    assert not near.is_proved(10.6)
    near.advanced(7)
    assert near.is_proved(10.6)


def test_a_position_that_is_applied_already_proves_at_once(near: NearCache) -> None:
    near.answered(E1, 5, 10.5)
    assert near.is_proved(10.6)


def test_it_proves_for_a_while_from_before_the_request_was_sent(near: NearCache) -> None:
    near.answered(E1, 5, 10.5)
    assert near.is_proved(10.5 + POSITION_AGE_MAX_S - 0.01)
    assert not near.is_proved(10.5 + POSITION_AGE_MAX_S)


def test_frames_of_the_stream_alone_prove_nothing(near: NearCache) -> None:
    """After a freeze they may have lain in a buffer."""
    near.answered(E1, 5, 10.5)
    near.advanced(100)
    assert not near.is_proved(13.0)


def test_answers_of_one_position_prove_from_the_newest_request(near: NearCache) -> None:
    """Lookups of one moment are answered in any order."""
    for sent_at in (10.5, 11.5, 11.0):
        near.answered(E1, 7, sent_at)
    near.advanced(7)
    assert near.is_proved(11.5 + POSITION_AGE_MAX_S - 0.01)


def test_many_answers_do_not_displace_the_first_that_the_stream_will_apply(
    near: NearCache,
) -> None:
    """Each lookup is an answer: a stream that is always a little behind must prove something."""
    for sequence in range(6, 1_000):
        near.answered(E1, sequence, 10.5)
    near.advanced(6)
    assert near.is_proved(10.6)


def test_a_position_of_another_epoch_proves_nothing(near: NearCache) -> None:
    near.answered(E2, 5, 10.5)
    assert not near.is_proved(10.6)


def test_a_request_from_before_a_reset_proves_nothing(near: NearCache) -> None:
    near.answered(E1, 5, 10.5)
    near.began(E1, 9, 11.0)
    assert not near.is_proved(11.1)
    near.answered(E1, 9, 10.9)
    assert not near.is_proved(11.1)
    near.answered(E1, 9, 11.0)
    assert near.is_proved(11.1)


def test_a_reply_is_kept_if_it_is_of_the_streams_epoch_and_its_request_no_older(
    near: NearCache,
) -> None:
    assert near.may_keep(E1, 10.0)
    assert not near.may_keep(E2, 10.0)
    assert not near.may_keep(E1, 9.9)


def test_nothing_is_kept_before_the_stream_has_begun() -> None:
    assert not NearCache().may_keep(b"", 10.0)
    assert not NearCache().is_proved(10.0)
