"""Processes whose calls are late or lost, that freeze, die and are cut off, at random.

What must hold is I12 of the contract: no lookup finds what was before a change that was committed
max(G, A) earlier; and, once a write has returned whose announcement was answered in time, none that
begins later does. Time is the test's own, so that thousands of seconds pass in one.
"""

from __future__ import annotations

from typing import Any

import pytest

from splitcache_client.outbox_rules import POLL_AGE_MAX_S, ROW_AGE_MAX_S
from tests.model import EVENTS, Log
from tests.model_process import Process, World

# How long it goes badly, and how long well after that.
BAD_S, GOOD_S = 120, 60
STEP_S = 0.05
BOUND_S = max(POLL_AGE_MAX_S, ROW_AGE_MAX_S)


class Story:
    def __init__(self, seed: int) -> None:
        self.world = World(seed, BOUND_S)
        self.dice = self.world.dice
        for _ in range(3):
            self._start()

    def run(self) -> None:
        for _ in range(int(BAD_S / STEP_S)):
            self._something_happens()
            self._pass()
        self._all_is_well()
        for _ in range(int(GOOD_S / STEP_S)):
            self._pass()

    def _start(self) -> None:
        self.world.processes.append(Process(self.world, self.world.logs[-1]))

    def _something_happens(self) -> None:
        world, dice = self.world, self.dice
        process = dice.choice(world.processes)
        now = world.clock.seconds()
        # Each about once in so many seconds.
        for every_s, happens in (
            (8, lambda: setattr(process, "frozen_until", now + dice.choice([1, 3, 7, 20]))),
            (10, lambda: setattr(process, "has_no_database", dice.random() < 0.5)),
            (10, lambda: setattr(process, "has_no_sidecar", dice.random() < 0.5)),
            (10, lambda: setattr(world, "loss", dice.choice([0.0, 0.0, 0.1, 0.5]))),
            (20, lambda: self._dies(process)),
            (40, lambda: dice.choice(world.logs).restart()),
            (40, self._rolls_over),
        ):
            if dice.random() < STEP_S / every_s:
                happens()

    def _dies(self, process: Process) -> None:
        process.is_dead = True
        self.world.processes.remove(process)
        self._start()

    def _rolls_over(self) -> None:
        """A second sidecar without a common log takes over some processes, then the others."""
        world = self.world
        if len(world.logs) == 1:
            world.logs.append(Log())
        for process in world.processes:
            process.log = self.dice.choice(world.logs)

    def _all_is_well(self) -> None:
        self.world.loss = 0.0
        for process in self.world.processes:
            process.log = self.world.logs[-1]
            process.has_no_database = process.has_no_sidecar = False
            process.frozen_until = 0.0

    def _pass(self) -> None:
        world, dice = self.world, self.dice
        for process in list(world.processes):
            if not process.is_running:
                continue
            if dice.random() < 0.05:
                process.table.read_rows()
            process.outbox.turn(0.0)
            if dice.random() < STEP_S / 2:
                process.write(dice.choice(EVENTS))
            for event_id in EVENTS:
                process.read(event_id)
        world.clock.advance(STEP_S)


@pytest.mark.parametrize("seed", range(12))
def test_nobody_is_served_what_was_before_a_change(seed: int) -> None:
    story = Story(seed)
    story.run()
    # In the end everything that was owed is announced, and every process reads again.
    for process in story.world.processes:
        assert process.outbox.is_open()
        assert process.outbox.uses(story.world.logs[-1].epoch)
    assert story.world.hits > 0


def test_the_stories_contain_what_they_are_about() -> None:
    stories = [Story(seed) for seed in range(5)]
    for story in stories:
        story.run()
    found: dict[str, Any] = {
        name: sum(getattr(story.world, name) for story in stories)
        for name in ("hits", "announced", "late")
    }
    assert found["hits"] > 1_000
    assert found["announced"] > 100
    assert found["late"] > 20
