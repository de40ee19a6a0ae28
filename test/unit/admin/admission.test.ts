import { Server, ServerCredentials, status } from "@grpc/grpc-js";
import { afterEach, expect, it } from "vitest";
import { type AdmissionOptions, admitOperators } from "../../../src/admin/admission.js";
import { adminDefinition } from "../../../src/admin/definition.js";
import { CacheError } from "../../../src/core/model/errors.js";
import type { AdminServiceClient } from "../../../src/gen/splitcache/admin/v1/admin_service.js";
import { LogLevel } from "../../../src/gen/splitcache/admin/v1/admin_service.js";
import { Gate } from "../../../src/rpc/admission/gate.js";
import { adminClientOf, callUnary } from "../../support/server/admin-client.js";

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

/** A server with one call, which answers when the test lets it. */
async function start(options: Partial<AdmissionOptions>, isOperator = true) {
  const refusal = new CacheError("permissionDenied", "not an operator");
  const gate = new Gate(
    () => performance.now(),
    () => {},
    { admit: () => (isOperator ? undefined : refusal), onChange: () => () => {} },
  );
  const server = new Server({
    interceptors: [admitOperators({ gate, ...options })],
  });
  gate.guard(server);
  const { getLogLevel } = adminDefinition;
  let served = 0;
  server.addService(
    { getLogLevel },
    {
      getLogLevel: (_call: unknown, callback: (error: null, reply: { logLevel: LogLevel }) => void) => {
        served += 1;
        callback(null, { logLevel: LogLevel.INFO });
      },
    },
  );
  cleanups.push(() => server.forceShutdown());
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  const client = adminClientOf(`127.0.0.1:${port}`);
  cleanups.push(() => client.close());
  return { client, served: () => served };
}

/** A call whose request never arrives. */
function neverAsks(client: AdminServiceClient): Promise<unknown> {
  const asIs = (bytes: Buffer) => bytes;
  return new Promise((resolve) => {
    client.makeClientStreamRequest(adminDefinition.getLogLevel.path, asIs, asIs, (error) => resolve(error));
  });
}

it("refuses a caller that may not administer, before it reads the request", async () => {
  const { client, served } = await start({}, false);
  const refused = callUnary(client, client.getLogLevel, {});
  await expect(refused).rejects.toMatchObject({ code: status.PERMISSION_DENIED, details: "not an operator" });
  expect(served()).toBe(0);
});

it("ends a call whose request does not arrive, and its place is free again", async () => {
  const { client, served } = await start({ callsMax: 1, callTimeLimitMs: 20 });
  expect(await neverAsks(client)).toMatchObject({ code: status.DEADLINE_EXCEEDED });
  expect(await callUnary(client, client.getLogLevel, {})).toEqual({ logLevel: LogLevel.INFO });
  expect(served()).toBe(1);
});
