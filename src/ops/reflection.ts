import type { Server } from "@grpc/grpc-js";
import { loadFileDescriptorSetFromBuffer, loadSync } from "@grpc/proto-loader";
import { ReflectionService } from "@grpc/reflection";
import { protoPath as healthProtoPath } from "grpc-health-check";
import { descriptorSet } from "../gen/descriptor-set.js";

/** Adds gRPC reflection, v1 and v1alpha, so that clients such as grpcurl need no proto files. */
export function addReflection(server: Server): void {
  const definitions = {
    ...loadFileDescriptorSetFromBuffer(Buffer.from(descriptorSet, "base64")),
    ...loadSync(healthProtoPath),
  };
  new ReflectionService(definitions).addToServer(server);
}
