import { type ServerWritableStream, status } from "@grpc/grpc-js";
import { afterEach, describe, expect, it } from "vitest";
import type {
  SubscribeRequest,
  SubscribeResponse,
} from "../../../src/gen/splitcache/v1/event_cache_service.js";
import { type FakeSidecar, startFakeSidecar } from "../../support/cli/fake-sidecar.js";
import { runCli } from "../../support/cli/run-cli.js";
import { startTestServer, type TestServer } from "../../support/server/start-server.js";

const HOMESERVER = ["-H", "example.org"];

describe("watch, on a real sidecar", () => {
  let server: TestServer | undefined;

  afterEach(() => server?.stop());

  it("prints every kind of notice, then where to resume", async () => {
    server = await startTestServer();
    const at = ["--address", server.address, ...HOMESERVER];
    const change = async (...args: string[]) => expect((await runCli([...args, ...at])).code).toBe(0);
    const watching = runCli(["watch", "--count", "5", ...at], {
      onStdout: onceOn("ready", async () => {
        await change("redact", "$a", "--by", "$r", "--room", "!room");
        await change("reject", "$b");
        await change("invalidate", "$c", "$d\u001b");
        await change("purge-room", "!room");
        await change("purge-homeserver", "--yes");
      }),
    });
    const { code, stdout, stderr } = await watching;
    const [ready, ...notices] = stdout.trim().split("\n");
    expect(ready).toMatch(/^ready at [0-9a-f]{32}:0$/);
    expect(notices).toEqual([
      "#1 redacted $a in !room by $r",
      "#2 rejected $b",
      "#3 invalidated $c $d\\u{1b}",
      "#4 room purged !room",
      "#5 homeserver purged",
    ]);
    expect(stderr).toMatch(/^5 notices; resume after [0-9a-f]{32}:5\n$/);
    expect(code).toBe(0);
  });

  it("resumes after a position, and prints JSON for the next program", async () => {
    server = await startTestServer();
    const at = ["--address", server.address, ...HOMESERVER];
    const { stdout: start } = await runCli(["get", ...at]);
    await runCli(["invalidate", "$a", ...at]);
    await runCli(["invalidate", "$b", ...at]);
    const { stdout } = await runCli(["watch", "--once", "-o", "json", "--resume-after", start.trim(), ...at]);
    const [ready, notice] = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(ready).toMatchObject({ kind: "ready", resumed: true, position: start.trim() });
    expect(ready.position).toMatch(/^[0-9a-f]{32}:0$/);
    expect(notice).toMatchObject({ kind: "events_invalidated", event_ids: ["$a"] });
  });

  it("ends after the given time, or when the user interrupts, with 0", async () => {
    server = await startTestServer();
    const at = ["--address", server.address, ...HOMESERVER];
    expect(await runCli(["watch", "--for", "300ms", ...at])).toMatchObject({ code: 0 });
    const interrupt = new AbortController();
    const onStdout = () => interrupt.abort();
    const { code, stderr } = await runCli(["watch", ...at], { signal: interrupt.signal, onStdout });
    expect(code).toBe(0);
    expect(stderr).toMatch(/^0 notices; resume after /);
  });

  it("reports a sidecar that drains, and connects to the next sidecar at the address", async () => {
    server = await startTestServer();
    const { address } = server;
    const at = ["--address", address, ...HOMESERVER];
    const [host = "", port = ""] = address.split(":");
    const listen = [{ kind: "tcp", host, port: Number(port) } as const];
    const restart = onceOn("ready", async () => {
      await server?.stop();
      server = await startTestServer({ listen });
    });
    const invalidate = onceOn("RESET", () => runCli(["invalidate", "$a", ...at]));
    const watching = runCli(["watch", "--once", ...at], {
      onStdout: (text) => {
        restart(text);
        invalidate(text);
      },
    });
    const { code, stdout, stderr } = await watching;
    expect(stdout).toMatch(
      /^ready at .*\nthe sidecar is going away\nRESET \(wrong_epoch\): drop all cached data/,
    );
    expect(stderr).toMatch(/retrying in \d+ ms/);
    expect(code).toBe(0);
  });
});

describe("watch, on scripted streams", () => {
  let sidecar: FakeSidecar | undefined;

  afterEach(() => sidecar?.stop());

  /** Each script answers one Subscribe call; the last one also answers all further ones. */
  async function watch(...scripts: ((call: SubscribeCall) => void)[]) {
    const requests: SubscribeRequest[] = [];
    sidecar = await startFakeSidecar({
      subscribe: (call) => {
        requests.push(call.request);
        (scripts.length > 1 ? scripts.shift() : scripts[0])?.(call);
      },
    });
    const args = ["watch", "--count", "3", "--address", sidecar.address, ...HOMESERVER];
    return { requests, ...(await runCli(args)) };
  }

  it("resumes after the last notice that it printed, without gaps or repeats", async () => {
    const { code, stdout, stderr, requests } = await watch(
      (call) => {
        call.write(ready(1, 0n));
        call.write(batch(1, 0n, 1n, 2n));
        breakOff(call);
      },
      (call) => {
        call.write(ready(1, call.request.resumeAfter?.sequence ?? 0n));
        call.write(batch(1, 2n, 3n));
      },
    );
    expect(code).toBe(0);
    expect(requests.map(({ resumeAfter }) => resumeAfter?.sequence)).toEqual([undefined, 2n]);
    expect([...stdout.matchAll(/^#(\d)/gm)].map(([, sequence]) => sequence)).toEqual(["1", "2", "3"]);
    expect(stderr).toMatch(/the sidecar at 127\.0\.0\.1:\d+ is unavailable: gone/);
  });

  it("reports two separate logs when an epoch comes back, and exits with 5", async () => {
    const { code, stderr } = await watch(
      (call) => {
        call.write(ready(1, 0n));
        breakOff(call);
      },
      (call) => {
        call.write(reset(2, 0n));
        breakOff(call);
      },
      (call) => call.write(reset(1, 0n)),
    );
    expect(code).toBe(5);
    expect(stderr).toMatch(
      /TWO SEPARATE INVALIDATION LOGS answer at .*: epoch 01010101010101010101010101010101 came back/,
    );
  });

  it.each([
    ["a batch", batch(1, 1n, 2n)],
    ["a progress frame", { frame: { $case: "progress", value: { position: position(1, 1n) } } } as const],
  ])("refuses %s that skips a notice", async (_, frame) => {
    const { code, stderr } = await watch((call) => {
      call.write(ready(1, 0n));
      call.write(frame);
    });
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /the sidecar skipped notices: it continues from .*:1, but the last applied position is .*:0/,
    );
  });

  it("refuses a stream that begins after the position to resume from", async () => {
    const { code, stderr } = await watch(
      (call) => {
        call.write(ready(1, 1n));
        breakOff(call);
      },
      (call) => call.write(ready(1, 2n)),
    );
    expect(code).toBe(1);
    expect(stderr).toContain("the sidecar skipped notices");
  });

  it("does not retry if the sidecar refuses the subscription", async () => {
    const { code, requests } = await watch((call) => {
      call.emit("error", { code: status.INVALID_ARGUMENT, details: "no" });
    });
    expect(code).toBe(2);
    expect(requests).toHaveLength(1);
  });

  it("ignores a frame of an unknown kind, and counts a notice of an unknown kind", async () => {
    const { code, stdout } = await watch((call) => {
      call.write(ready(1, 0n));
      call.write({ frame: undefined });
      call.write(batch(1, 0n, 1n, 2n, 3n));
    });
    expect(code).toBe(0);
    expect(stdout).toContain("#3 a change of a kind unknown to this version: drop all cached data");
  });
});

type SubscribeCall = ServerWritableStream<SubscribeRequest, SubscribeResponse>;

/** Acts once, as soon as the output contains a word. */
function onceOn(word: string, act: () => Promise<unknown>): (stdout: string) => void {
  let acted = false;
  return (stdout) => {
    if (acted || !stdout.includes(word)) return;
    acted = true;
    void act();
  };
}

function position(epoch: number, sequence: bigint) {
  return { epoch: Buffer.alloc(16, epoch), sequence };
}

function ready(epoch: number, sequence: bigint): SubscribeResponse {
  const value = { position: position(epoch, sequence), resumed: false };
  const durations = { progressInterval: undefined, silenceLimit: undefined };
  return { frame: { $case: "ready", value: { ...value, ...durations } } };
}

function reset(epoch: number, sequence: bigint): SubscribeResponse {
  const value = { position: position(epoch, sequence), reason: 1 } as const;
  const durations = { progressInterval: undefined, silenceLimit: undefined };
  return { frame: { $case: "reset", value: { ...value, ...durations } } };
}

/** A batch of notices of an unknown kind. */
function batch(epoch: number, from: bigint, ...sequences: bigint[]): SubscribeResponse {
  const value = {
    fromExclusive: position(epoch, from),
    toInclusive: position(epoch, sequences.at(-1) ?? from),
    notices: sequences.map((sequence) => ({ sequence, change: undefined })),
  };
  return { frame: { $case: "batch", value } };
}

/** Ends a stream as a sidecar that goes away does, after all frames are sent. */
function breakOff(call: SubscribeCall): void {
  call.emit("error", { code: status.UNAVAILABLE, details: "gone" });
}
