"""Which replies may be used, and when two sidecars show."""

from __future__ import annotations

from splitcache_synapse.epochs import PAST_EPOCHS_MAX, Epochs

A, B, C = b"a" * 16, b"b" * 16, b"c" * 16


def test_a_reply_of_an_epoch_without_declaration_is_not_used() -> None:
    epochs = Epochs()
    assert epochs.observe(A, epochs.mark)
    assert not epochs.usable(A)
    epochs.declared = A
    assert epochs.usable(A)
    epochs.observe(B, epochs.mark)
    assert not epochs.usable(A)
    assert not epochs.usable(B)


def test_a_late_reply_of_a_replaced_epoch_says_nothing() -> None:
    epochs = Epochs()
    epochs.observe(A, epochs.mark)
    sent_in_a = epochs.mark
    epochs.observe(B, epochs.mark)
    assert not epochs.observe(A, sent_in_a)
    assert epochs.current == B
    assert not epochs.came_back


def test_an_epoch_that_comes_back_shows_two_sidecars() -> None:
    epochs = Epochs()
    epochs.observe(A, epochs.mark)
    epochs.observe(B, epochs.mark)
    epochs.declared = B
    sent_in_b = epochs.mark
    epochs.observe(A, sent_in_b)
    assert epochs.came_back
    assert not epochs.usable(B)


def test_new_epochs_are_no_sign_of_two_sidecars() -> None:
    epochs = Epochs()
    for epoch in (A, B, C):
        assert epochs.observe(epoch, epochs.mark)
    assert not epochs.came_back


def test_remembers_a_bounded_number_of_epochs() -> None:
    epochs = Epochs()
    for number in range(PAST_EPOCHS_MAX + 100):
        epochs.observe(number.to_bytes(16, "big"), epochs.mark)
    assert len(epochs._past) == PAST_EPOCHS_MAX
