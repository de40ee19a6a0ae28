"""Makes a call of the cache with nothing but reflection, and prints what it found as JSON.

Usage: reflection_client.py HOST:PORT
"""

import json
import sys

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import MessageToDict
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

SERVICE = "splitcache.v1.EventCacheService"


def main(address: str) -> None:
    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        pool = DescriptorPool(database)
        services = {name: sorted(pool.FindServiceByName(name).methods_by_name) for name in database.get_services()}
        method = pool.FindServiceByName(SERVICE).methods_by_name["GetEvents"]
        request = GetMessageClass(method.input_type)(homeserver="alpha.example", event_ids=["$absent"])
        call = channel.unary_unary(
            f"/{SERVICE}/GetEvents",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )
        reply = call(request, timeout=10)
        enum = pool.FindEnumTypeByName("splitcache.v1.PutOutcome")
        field = pool.FindMessageTypeByName("splitcache.v1.Ready").fields_by_name["progress_interval"]
        try:
            pool.FindMessageTypeByName("splitcache.v1.Nothing")
            absent = False
        except KeyError:
            absent = True
        print(
            json.dumps(
                {
                    "services": services,
                    "reply": MessageToDict(reply),
                    "enum": list(enum.values_by_name),
                    "type": field.message_type.full_name,
                    "absent": absent,
                }
            )
        )


main(sys.argv[1])
