"""Which Synapse the module supports: one of which it knows each function that it relies on."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import synapse

from splitcache_synapse.relied_on import RELIED_ON
from splitcache_synapse.supported import ABSENT, differences, hashes, known_functions

INSTALLED = Path(synapse.__file__).parent
WORKER = "storage/databases/main/events_worker.py"
CENSOR = "storage/databases/main/censor_events.py"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of Synapse's source, to be changed."""
    copy = tmp_path / "synapse"
    for file in ["__init__.py", *RELIED_ON]:
        (copy / file).parent.mkdir(parents=True, exist_ok=True)
        if (INSTALLED / file).exists():
            shutil.copy(INSTALLED / file, copy / file)
    return copy


def change(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def test_knows_the_release_that_the_tests_run_with() -> None:
    assert differences(INSTALLED, known_functions()) == []


def test_knows_a_copy_of_it_whatever_its_version(package: Path) -> None:
    assert differences(package, known_functions()) == []


def test_comments_and_docstrings_do_not_count(package: Path) -> None:
    change(
        package / WORKER,
        "Invalidates an event in local in-memory get event caches.",
        "Another description.",
    )
    assert differences(package, known_functions()) == []


def test_names_the_function_that_changed(package: Path) -> None:
    change(package / WORKER, "self._event_ref.pop(event_id, None)", "pass")
    (difference,) = differences(package, known_functions())
    assert difference.startswith(
        "synapse.storage.databases.main.events_worker: "
        "EventsWorkerStore._invalidate_local_get_event_cache is not as in any known release"
    )


def test_names_a_function_that_is_gone(package: Path) -> None:
    change(package / CENSOR, "def _censor_event_txn", "def _censor_one_txn")
    found = differences(package, known_functions())
    module = "synapse.storage.databases.main.censor_events"
    assert f"{module}: CensorEventsStore._censor_event_txn is not there" in found
    assert (
        f"{module}: CensorEventsStore._censor_one_txn writes to a table of events, and is new"
        in found
    )


@pytest.mark.parametrize(
    "write",
    [
        'txn.execute("UPDATE event_json SET json = ?", ("",))',
        'txn.execute("DELETE  FROM rejections WHERE event_id = ?", ("",))',
        'self.db_pool.simple_update_txn(txn, table="events", keyvalues={}, updatevalues={})',
        'self.db_pool.simple_upsert("room_ban_redactions", {}, {})',
    ],
)
def test_names_a_new_function_that_writes_to_a_table_of_events(package: Path, write: str) -> None:
    path = package / "storage" / "databases" / "main" / "new.py"
    path.write_text(f"class NewStore:\n    def rewrite(self, txn):\n        {write}\n")
    assert differences(package, known_functions()) == [
        "synapse.storage.databases.main.new: NewStore.rewrite writes to a table of events, "
        "and is new"
    ]


def test_a_function_that_reads_a_table_of_events_is_of_no_concern(package: Path) -> None:
    path = package / "storage" / "databases" / "main" / "new.py"
    read = "txn.execute('SELECT json FROM event_json'), self.simple_insert('pushers')"
    path.write_text(f"def read(self, txn):\n    {read}\n")
    assert differences(package, known_functions()) == []


def test_without_source_nothing_is_known(tmp_path: Path) -> None:
    assert differences(tmp_path, known_functions()) == [f"{tmp_path} holds no source"]


def test_a_source_that_this_python_cannot_read_is_not_known(package: Path) -> None:
    change(package / WORKER, "class EventCacheEntry", "class class EventCacheEntry")
    (difference,) = differences(package, known_functions())
    assert difference.startswith("its source cannot be read")


def test_each_known_function_was_there_in_some_release() -> None:
    """Neither a name misspelt in the list, nor one that is known and relied on no longer."""
    known = known_functions()
    assert {file: set(known[file]) for file in known} == {
        file: set(names) for file, names in RELIED_ON.items()
    }
    never = [name for file in known for name in known[file] if set(known[file][name]) == {ABSENT}]
    assert never == []


def test_nothing_that_is_relied_on_is_defined_twice() -> None:
    assert [name for _, name, found in hashes(INSTALLED) if "+" in found] == []
