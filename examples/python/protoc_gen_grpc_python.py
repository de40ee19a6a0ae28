"""A protoc plugin for gRPC stubs: grpcio-tools has one, but only inside its own protoc."""

import pathlib
import subprocess
import sys
import tempfile

from google.protobuf.compiler import plugin_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorSet

request = plugin_pb2.CodeGeneratorRequest.FromString(sys.stdin.buffer.read())
response = plugin_pb2.CodeGeneratorResponse(
    supported_features=plugin_pb2.CodeGeneratorResponse.FEATURE_PROTO3_OPTIONAL
)
with tempfile.TemporaryDirectory() as folder:
    described = pathlib.Path(folder, "described.binpb")
    described.write_bytes(FileDescriptorSet(file=request.proto_file).SerializeToString())
    command = [sys.executable, "-m", "grpc_tools.protoc", f"--descriptor_set_in={described}"]
    made = pathlib.Path(folder, "made")
    made.mkdir()
    subprocess.run([*command, f"--grpc_python_out={made}", *request.file_to_generate], check=True)
    for file in made.rglob("*.py"):
        response.file.add(name=str(file.relative_to(made)), content=file.read_text())
sys.stdout.buffer.write(response.SerializeToString())
