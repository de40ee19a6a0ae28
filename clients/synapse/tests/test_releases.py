"""Taking a release in: `releases.py`, with wheels made of the Synapse that is installed."""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path

import pytest
import synapse

import release_tests
import releases
from splitcache_synapse.supported import known_functions
from tests.test_supported import CENSOR, INSTALLED, RELIED_ON


@pytest.fixture
def known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of what is known, to be changed."""
    copy = tmp_path / "known_functions.json"
    copy.write_bytes(releases.KNOWN.read_bytes())
    monkeypatch.setattr(releases, "KNOWN", copy)
    monkeypatch.setattr(releases, "known_functions", lambda: json.loads(copy.read_text()))
    monkeypatch.setattr(releases, "forget_known_functions", lambda: None)
    return copy


def wheel(folder: Path, version: str, before: str = "", after: str = "") -> str:
    """One in which the text of one file is another."""
    path = folder / f"matrix_synapse-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file in ["__init__.py", *RELIED_ON]:
            text = (INSTALLED / file).read_text()
            if file == CENSOR:
                assert before in text
                text = text.replace(before, after) if before else text
            archive.writestr(f"synapse/{file}", text)
        archive.writestr(
            f"matrix_synapse-{version}.dist-info/METADATA",
            f"Name: x\nVersion: {version}\n\nVersion: 1",
        )
    return str(path)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["releases.py", *arguments])
    return releases.main()


CHANGE = ('{"json": pruned_json}', '{"json": pruned_json, "x": 1}')


def test_a_release_that_changed_nothing_is_supported(
    tmp_path: Path, known: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "check", wheel(tmp_path, "9.9.0")) == 0
    assert capsys.readouterr().out == "9.9.0: supported\n"


def test_one_that_changed_a_function_is_shown_and_then_taken_in(
    tmp_path: Path, known: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = wheel(tmp_path, "9.9.0"), wheel(tmp_path, "9.10.0", *CHANGE)
    assert run(monkeypatch, "check", old, new) == 1
    said = capsys.readouterr().out
    assert "9.9.0: supported" in said
    assert "9.10.0: not supported" in said
    assert "CensorEventsStore._censor_event_txn is not as in any known release" in said

    assert run(monkeypatch, "diff", old, new) == 0
    said = capsys.readouterr().out
    assert f"--- 9.9.0 {CENSOR}: CensorEventsStore._censor_event_txn\n+++ 9.10.0\n" in said
    assert said.count("---") == 1
    assert "\n-    " in said
    assert "'x': 1" in said

    assert run(monkeypatch, "add", new) == 0
    assert run(monkeypatch, "check", old, new) == 0
    spans = json.loads(known.read_text())[CENSOR]["CensorEventsStore._censor_event_txn"]
    assert ["9.10.0", "9.10.0"] in spans.values()


def test_a_range_goes_from_the_first_release_to_the_last_by_number(
    tmp_path: Path, known: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version in ("9.10.0", "9.9.0", "1.2.0"):
        assert run(monkeypatch, "add", wheel(tmp_path, version)) == 0
    (span,) = json.loads(known.read_text())["util/caches/lrucache.py"]["AsyncLruCache"].values()
    assert span == ["1.2.0", "9.10.0"]


def test_the_file_is_as_the_script_writes_it() -> None:
    text = releases.KNOWN.read_text()
    assert json.dumps(known_functions(), indent=2) + "\n" == text


def test_the_documents_say_what_is_supported() -> None:
    ends = {
        end
        for functions in known_functions().values()
        for spans in functions.values()
        for span in spans.values()
        for end in span
    }
    first, last = min(ends, key=releases.by_number), max(ends, key=releases.by_number)
    for name in ("README.md", "RELEASES.md"):
        assert f"Synapse {first} to {last}" in (releases.HERE / name).read_text()


def test_the_newest_releases_are_tested_beside_the_installed_one() -> None:
    tested = [synapse.__version__, *release_tests.NEWEST]
    assert len(tested) == len(set(tested)) == 6
    assert tested == sorted(tested, key=releases.by_number, reverse=True)
