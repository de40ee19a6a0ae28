import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { expect, it } from "vitest";
import { TimeLimit } from "../../../../src/rpc/calls/time-limit.js";

it("is beaten by what had come in time, though the process stood still until the limit was over", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const accepted = once(server, "connection");
  const client = connect((server.address() as AddressInfo).port, "127.0.0.1");
  const [socket] = (await accepted) as [Socket];
  let hasPassed = false;
  const limit = new TimeLimit(20, () => {
    hasPassed = true;
  });
  const arrived = new Promise<void>((resolve) => {
    socket.once("data", () => {
      limit.disarm();
      resolve();
    });
  });
  limit.arm();
  client.write("a request");
  standStill(60);
  await arrived;
  await delay(5);
  expect(hasPassed).toBe(false);
  client.destroy();
  server.close();
});

it("passes if nothing disarms it, and not if it was armed again", async () => {
  const passed = new Promise<void>((resolve) => {
    const limit = new TimeLimit(1, resolve);
    limit.arm();
    limit.rearm();
  });
  await passed;
});

function standStill(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
