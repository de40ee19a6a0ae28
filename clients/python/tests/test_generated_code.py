"""The module's generated code beside other stubs of the contract, in one process. protobuf keeps
all names of a process in one table, and another Synapse module may use stubs made as README.md
says."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CONTRACT = Path(__file__).parents[3] / "proto/splitcache/v1/event_cache_service.proto"

PROGRAM = """
import datetime
from google.protobuf.duration_pb2 import Duration
from splitcache_proto.v1 import event_cache_service_pb2 as others
from splitcache_proto.v1 import event_cache_service_pb2_grpc
from splitcache_client import transport
from splitcache_client.gen import event_cache_service_pb2 as ours

span = Duration(seconds=2)
frame = others.SubscribeResponse(ready=others.Ready(progress_interval=span))
ready = ours.SubscribeResponse.FromString(frame.SerializeToString()).ready
assert ready.progress_interval.ToTimedelta() == datetime.timedelta(seconds=2)
assert ready == ours.Ready(progress_interval=span)
assert ready == ours.Ready(progress_interval=datetime.timedelta(seconds=2))

failure = ours.RequestFailure()
failure.details.add().Pack(span)
unpacked = Duration()
assert failure.details[0].Unpack(unpacked)
assert unpacked == span

service = others.DESCRIPTOR.services_by_name["EventCacheService"]
assert transport.SERVICE == f"/{service.full_name}/"
"""


def altered(contract: str) -> str:
    """Another version: an enum value and a field that this one lacks, and a value renamed."""
    changes = {
        "  REDACTION_VIEW_REDACTED = 1;": "  REDACTION_VIEW_PRUNED = 1;",
        "  REDACTION_VIEW_ORIGINAL = 2;": (
            "  REDACTION_VIEW_ORIGINAL = 2;\n  REDACTION_VIEW_BOTH = 3;"
        ),
        "message Position {": "message Position {\n  string added = 1000;",
    }
    for before, after in changes.items():
        assert contract.count(before) == 1
        contract = contract.replace(before, after)
    return contract


@pytest.fixture(scope="module", params=["same", "altered"])
def others(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with stubs of this version of the contract, or of another."""
    root = tmp_path_factory.mktemp("stubs")
    contract = CONTRACT.read_text()
    protos = root / "splitcache" / "v1"
    protos.mkdir(parents=True)
    (protos / CONTRACT.name).write_text(contract if request.param == "same" else altered(contract))
    subprocess.run(
        [
            *(sys.executable, "-m", "grpc_tools.protoc", "-I", "splitcache_proto=splitcache"),
            *("--python_out=.", "--grpc_python_out=.", f"splitcache_proto/v1/{CONTRACT.name}"),
        ],
        cwd=root,
        check=True,
    )
    return root


@pytest.mark.parametrize("implementation", ["upb", "python"])
def test_other_stubs_of_the_contract_load_in_the_same_process(
    others: Path, implementation: str
) -> None:
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(others), *sys.path]),
            "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": implementation,
        },
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
