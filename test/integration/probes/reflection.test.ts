import { once } from "node:events";
import { createFileRegistry, fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { type Client, credentials, Server, ServerCredentials, status } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { descriptorSet } from "../../../src/gen/descriptor-set.js";
import { EventCacheServiceClient } from "../../../src/gen/splitcache/v1/event_cache_service.js";
import { addReflection } from "../../../src/probes/reflection.js";
import { Drain } from "../../../src/rpc/admission/drain.js";
import { AUXILIARY_REQUEST_BYTES_MAX } from "../../../src/rpc/limits.js";
import { ask, openReflection, type ReflectionStream } from "../../support/server/reflection.js";
import { startTestServer, type TestServer } from "../../support/server/start-server.js";

const SERVICE = "splitcache.v1.EventCacheService";

describe("reflection", () => {
  let server: TestServer;
  let stream: ReflectionStream;

  beforeEach(async () => {
    server = await startTestServer();
    stream = openReflection(server.newClient());
  });

  afterEach(async () => {
    stream.on("error", () => {});
    stream.cancel();
    await server.stop();
  });

  const symbol = (value: string) => ask(stream, { $case: "fileContainingSymbol", value });

  /** The files of an answer, which must hold all that the first of them needs. */
  function resolve(answer: Awaited<ReturnType<typeof ask>>): string[] {
    if (answer?.$case !== "fileDescriptorResponse") throw new Error(`not files: ${JSON.stringify(answer)}`);
    const files = answer.value.fileDescriptorProto.map((bytes) =>
      fromBinary(FileDescriptorProtoSchema, bytes),
    );
    createFileRegistry({ $typeName: FileDescriptorSetSchema.typeName, file: files.toReversed() });
    return files.map(({ name }) => name);
  }

  it.each(["v1", "v1alpha"] as const)("lists all services (%s)", async (version) => {
    const versioned = openReflection(server.newClient(), version);
    const answer = await ask(versioned, { $case: "listServices", value: "*" });
    const service = [
      { name: "grpc.health.v1.Health" },
      { name: "grpc.reflection.v1.ServerReflection" },
      { name: "grpc.reflection.v1alpha.ServerReflection" },
      { name: SERVICE },
    ];
    expect(answer).toEqual({ $case: "listServicesResponse", value: { service } });
    versioned.end();
    await once(versioned, "end");
  });

  it.each([
    ["service", SERVICE],
    ["method", `${SERVICE}.GetEvents`],
    ["message", "splitcache.v1.Position"],
    ["field", "splitcache.v1.PutEventsRequest.as_of"],
    ["oneof", "splitcache.v1.SubscribeResponse.frame"],
    ["enum", "splitcache.v1.PutOutcome"],
    ["value of an enum", "splitcache.v1.PUT_OUTCOME_STORED"],
  ])("finds the file of a %s, and all files that it needs", async (_kind, name) => {
    const files = resolve(await symbol(name));
    expect(files[0]).toBe("splitcache/v1/event_cache_service.proto");
    expect(files).toContain("google/protobuf/duration.proto");
    expect(files).toContain("google/protobuf/any.proto");
  });

  it.each([
    ["google.rpc.BadRequest", "google/rpc/error_details.proto"],
    ["google.rpc.BadRequest.FieldViolation.field", "google/rpc/error_details.proto"],
    ["google.protobuf.Duration", "google/protobuf/duration.proto"],
    ["grpc.health.v1.HealthCheckResponse.ServingStatus", "grpc/health/v1/health.proto"],
    ["grpc.health.v1.HealthCheckResponse.SERVING", "grpc/health/v1/health.proto"],
    ["grpc.reflection.v1.ServerReflection", "grpc/reflection/v1/reflection.proto"],
    ["grpc.reflection.v1alpha.ServerReflection", "grpc/reflection/v1alpha/reflection.proto"],
  ])("finds the file of %s", async (name, file) => {
    expect(resolve(await symbol(name))[0]).toBe(file);
    expect(resolve(await ask(stream, { $case: "fileByFilename", value: file }))[0]).toBe(file);
  });

  it("sends the files as the compiler made them", async () => {
    const set = fromBinary(FileDescriptorSetSchema, Buffer.from(descriptorSet, "base64"));
    const compiled = Buffer.from(descriptorSet, "base64");
    for (const { name } of set.file) {
      const answer = await ask(stream, { $case: "fileByFilename", value: name });
      if (answer?.$case !== "fileDescriptorResponse") throw new Error(`no ${name}`);
      const [bytes] = answer.value.fileDescriptorProto;
      expect(compiled.includes(bytes ?? "absent"), name).toBe(true);
    }
  });

  it("answers requests for unknown names, and continues", async () => {
    const unknown = { $case: "errorResponse", value: { errorCode: status.NOT_FOUND } } as const;
    expect(await symbol("splitcache.v1.Nothing")).toMatchObject(unknown);
    // The package is a name, too, but of no file of its own.
    expect(await symbol("splitcache.v1")).toMatchObject(unknown);
    expect(await symbol("__proto__")).toMatchObject(unknown);
    expect(await ask(stream, { $case: "fileByFilename", value: "x.proto" })).toMatchObject(unknown);
    const extension = { containingType: "splitcache.v1.Position", extensionNumber: 1000 };
    expect(await ask(stream, { $case: "fileContainingExtension", value: extension })).toMatchObject(unknown);
    expect(await ask(stream, { $case: "allExtensionNumbersOfType", value: "x.Y" })).toMatchObject(unknown);
    expect(
      await ask(stream, { $case: "allExtensionNumbersOfType", value: "splitcache.v1.Position" }),
    ).toMatchObject({
      $case: "allExtensionNumbersResponse",
      value: { baseTypeName: "splitcache.v1.Position", extensionNumber: [] },
    });
    expect(await ask(stream, undefined)).toMatchObject({
      $case: "errorResponse",
      value: { errorCode: status.INVALID_ARGUMENT },
    });
  });

  it("repeats the request and its host in the reply", async () => {
    const request = { host: "h", messageRequest: { $case: "listServices", value: "" } } as const;
    stream.write(request);
    expect((await once(stream, "data"))[0]).toMatchObject({ validHost: "h", originalRequest: request });
  });

  it.each([
    ["a symbol that is not UTF-8", Buffer.from([0x22, 1, 0xff]), /file_containing_symbol/],
    ["a field that is cut short", Buffer.from([0x22, 9, 0x61]), /not valid protobuf/],
  ])("refuses %s with INVALID_ARGUMENT", async (_what, bytes, details) => {
    const raw = sendRaw(server.newClient(), bytes);
    expect(await once(raw, "error")).toMatchObject([
      { code: status.INVALID_ARGUMENT, details: expect.stringMatching(details) },
    ]);
  });

  it("refuses a stream whose request is too large, before it is read", async () => {
    const name = "x".repeat(4 * AUXILIARY_REQUEST_BYTES_MAX);
    stream.write({ host: "", messageRequest: { $case: "fileContainingSymbol", value: name } });
    expect(await once(stream, "error")).toMatchObject([{ code: status.RESOURCE_EXHAUSTED }]);
  });
});

it("ends a reflection stream that asks nothing for a while", async () => {
  const server = new Server();
  addReflection(server, { drain: new Drain(), absentServices: [], idleLimitMs: 1 });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  const client = new EventCacheServiceClient(`127.0.0.1:${port}`, credentials.createInsecure());
  const stream = openReflection(client);
  const [end] = await once(stream, "status");
  expect(end).toMatchObject({ code: status.OK });
  client.close();
  server.forceShutdown();
});

function sendRaw(client: Client, bytes: Buffer) {
  const path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
  const asIs = (message: Buffer) => message;
  const stream = client.makeBidiStreamRequest(path, asIs, asIs);
  stream.write(bytes);
  return stream;
}
