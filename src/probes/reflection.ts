import type { Server, ServerDuplexStream } from "@grpc/grpc-js";
import { descriptorSet } from "../gen/descriptor-set.js";
import {
  ServerReflectionRequest,
  type ServerReflectionResponse,
  ServerReflectionService,
} from "../gen/grpc/reflection/v1/reflection.js";
import type { Drain } from "../rpc/admission/drain.js";
import { TimeLimit } from "../rpc/calls/time-limit.js";
import { REFLECTION_IDLE_LIMIT_MS } from "../rpc/limits.js";
import { INVALID_ARGUMENT, NOT_FOUND, toStatus } from "../rpc/status.js";
import { DescriptorFiles, type FileBytes } from "../rpc/wire/descriptor-files.js";
import { shapeOf } from "../rpc/wire/request-shapes.js";
import { type Decoded, strictDecoder } from "../rpc/wire/strict-decode.js";

type Answer = NonNullable<ServerReflectionResponse["messageResponse"]>;
type Call = ServerDuplexStream<Decoded<ServerReflectionRequest>, ServerReflectionResponse>;

export interface ReflectionOptions {
  /** Ends the streams when it starts. */
  readonly drain: Drain;
  /** Services of the product that this server does not have, so that they are not listed. */
  readonly absentServices: readonly string[];
  readonly idleLimitMs?: number;
}

/**
 * Adds gRPC reflection, v1 and v1alpha, so that clients such as grpcurl need no proto files. A stream
 * without requests for a while, and every stream when the drain starts, is ended with OK: clients open
 * another one when they need it.
 */
export function addReflection(server: Server, options: ReflectionOptions): void {
  const { drain, absentServices, idleLimitMs = REFLECTION_IDLE_LIMIT_MS } = options;
  const files = new DescriptorFiles(Buffer.from(descriptorSet, "base64"));
  const services = files.services.filter((name) => !absentServices.includes(name));
  const v1 = {
    ...ServerReflectionService.serverReflectionInfo,
    requestDeserialize: strictDecoder(
      ServerReflectionRequest,
      shapeOf("grpc.reflection.v1.ServerReflectionRequest"),
    ),
  };
  // The same messages under another package's name.
  const v1alpha = { ...v1, path: v1.path.replace(".v1.", ".v1alpha.") };
  const serverReflectionInfo = (call: Call) => serve(call, { files, services, drain, idleLimitMs });
  for (const definition of [v1, v1alpha]) {
    server.addService({ serverReflectionInfo: definition }, { serverReflectionInfo });
  }
}

interface ReflectionContext {
  readonly files: DescriptorFiles;
  /** The full names of the services that are listed. */
  readonly services: readonly string[];
  readonly drain: Drain;
  readonly idleLimitMs: number;
}

/** Answers each request before the next one is read, which the layer below ensures. */
function serve(call: Call, context: ReflectionContext): void {
  const { drain, idleLimitMs } = context;
  const end = () => call.end();
  const idle = new TimeLimit(idleLimitMs, end);
  const forgetDrain = drain.onStart(end);
  const stop = () => {
    idle.disarm();
    forgetDrain();
  };
  idle.arm();
  call.on("data", (decoded: Decoded<ServerReflectionRequest>) => {
    if (call.writableEnded) return;
    if (!decoded.ok) {
      call.emit("error", toStatus(decoded.error));
      return;
    }
    idle.rearm();
    const { message } = decoded;
    call.write({
      validHost: message.host,
      originalRequest: message,
      messageResponse: answer(message.messageRequest, context),
    });
  });
  call.once("end", end);
  for (const event of ["end", "cancelled", "close", "error"]) call.once(event, stop);
  if (drain.started) end();
}

function answer(
  request: ServerReflectionRequest["messageRequest"],
  { files, services }: ReflectionContext,
): Answer {
  switch (request?.$case) {
    case "fileByFilename":
      return filesOrError(files.named(request.value), "no file has this name");
    case "fileContainingSymbol":
      return filesOrError(files.containing(request.value), "no file defines this symbol");
    case "fileContainingExtension":
      return failure(NOT_FOUND, "no file defines this extension: there are none");
    case "allExtensionNumbersOfType":
      return files.hasMessage(request.value)
        ? {
            $case: "allExtensionNumbersResponse",
            value: { baseTypeName: request.value, extensionNumber: [] },
          }
        : failure(NOT_FOUND, "no message has this name");
    case "listServices":
      return {
        $case: "listServicesResponse",
        value: { service: services.map((name) => ({ name })) },
      };
    case undefined:
      return failure(INVALID_ARGUMENT, "message_request is required");
  }
}

function filesOrError(files: FileBytes[] | undefined, problem: string): Answer {
  if (files === undefined) return failure(NOT_FOUND, problem);
  return {
    $case: "fileDescriptorResponse",
    value: { fileDescriptorProto: files.map((bytes) => Buffer.from(bytes)) },
  };
}

function failure(errorCode: number, errorMessage: string): Answer {
  return { $case: "errorResponse", value: { errorCode, errorMessage } };
}
