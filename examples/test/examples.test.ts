import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { buildProgram, type Program, type RunningProgram } from "../../test/support/build-program.js";
import { type Example, isBuilt, LANGUAGES, type Language, runExample, startProxy } from "./example.js";

const HOMESERVER = "example.org";
const ROOM = "!room:example.org";
const EPOCH = "[0-9a-f]{32}";

/** What the tour prints, bodies aside. */
const TOUR = [
  expect.stringMatching(new RegExp(`^position ${EPOCH}:0$`)),
  "missing $one:example.org",
  "missing $two:example.org",
  "stored $one:example.org",
  "stored $two:example.org",
  "hit $one:example.org {…}",
  "hit $two:example.org {…}",
  "redacted $one:example.org by $redaction:example.org: applied",
  "hit $one:example.org redacted by $redaction:example.org",
  "original $one:example.org {…}",
  "rejected $two:example.org: applied",
  `purged ${ROOM}`,
  "missing $one:example.org",
  "missing $two:example.org",
  "truncated 6 of 20, asked again: 20 hits",
  "fenced $one:example.org",
  "refused INVALID_ARGUMENT event_ids[0]: is required",
  "deadline DEADLINE_EXCEEDED",
  "done",
];

let program: Program;
let folder: string;
const cleanups: (() => unknown)[] = [];

beforeAll(async () => {
  program = await buildProgram();
  folder = await mkdtemp(join(tmpdir(), "splitcache-"));
});

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

afterAll(async () => {
  await program.remove();
  await rm(folder, { recursive: true });
});

async function serve(listen: string): Promise<{ process: RunningProgram; address: string; port: number }> {
  const process = program.start(["serve", "--http", "off", "--listen", listen]);
  cleanups.push(async () => {
    process.kill("SIGKILL");
    await process.end;
  });
  const { listen: addresses } = JSON.parse(await process.logLine("splitcache serves"));
  const address: string = addresses[0];
  return { process, address, port: Number(address.split(":").at(-1)) };
}

function start(language: Language, ...args: string[]): Example {
  const example = runExample(language, args);
  cleanups.push(() => example.stop());
  return example;
}

async function splitcache(address: string, command: string, ...args: string[]): Promise<void> {
  const { code, stderr } = await program.run([command, "-H", HOMESERVER, "--address", address, ...args]);
  expect(stderr).toBe("");
  expect(code).toBe(0);
}

describe.each(LANGUAGES)("the example in $name", (language) => {
  const example = it.runIf(isBuilt(language));

  example.each(["tcp", "unix"])("makes every call, over %s", async (kind) => {
    const { address } = await serve(
      kind === "tcp" ? "127.0.0.1:0" : `unix:${join(folder, `${language.name}.sock`)}`,
    );
    const { code, lines } = await start(language, "tour", address).end;
    expect(lines.map((line) => line.replace(/\{.*\}/, "{…}"))).toEqual(TOUR);
    expect(code).toBe(0);
  });

  example("follows what changes, and resumes where its connection broke", async () => {
    const { address, port } = await serve("127.0.0.1:0");
    const proxy = await startProxy([port]);
    cleanups.push(() => proxy.close());
    const follower = start(language, "follow", proxy.address);
    await follower.line(/^ready .*:0 resumed=false$/);
    await splitcache(address, "redact", "$one", "--by", "$redaction");
    await follower.line(/^notice 1 event_redacted - \$one \$redaction$/);
    await splitcache(address, "reject", "$two");
    await follower.line(/^notice 2 event_rejected - \$two true$/);
    proxy.cut();
    await splitcache(address, "invalidate", "$three", "$four");
    await splitcache(address, "purge-room", ROOM);
    await follower.line(/^ready .*resumed=true$/);
    await follower.line(/^notice 3 events_invalidated - \$three \$four$/);
    await follower.line(/^notice 4 room_purged !room:example\.org$/);
    await splitcache(address, "purge-homeserver", "--yes");
    await follower.line(/^notice 5 homeserver_purged$/);
    expect(await follower.stop()).toBe(0);
  });

  example("declares its writers anew, and is reset, after a restart of the sidecar", async () => {
    const first = await serve("127.0.0.1:0");
    const follower = start(language, "follow", first.address, "--writers", "a,b");
    const [, before] = await follower.line(new RegExp(`^declared a,b in (${EPOCH})$`));
    await follower.line(/^ready /);
    first.process.kill("SIGTERM");
    await follower.line(/^going away$/);
    await follower.line(/^disconnected UNAVAILABLE$/);
    await serve(first.address);
    const [, after] = await follower.line(new RegExp(`^declared a,b in (${EPOCH})$`));
    expect(after).not.toBe(before);
    expect(await follower.stop()).toBe(0);
  });

  example("finds out that two sidecars answer at one address", async () => {
    const ports = [(await serve("127.0.0.1:0")).port, (await serve("127.0.0.1:0")).port];
    const proxy = await startProxy(ports);
    cleanups.push(() => proxy.close());
    const follower = start(language, "follow", proxy.address);
    await follower.line(/^ready /);
    proxy.cut();
    await follower.line(/^reset .* wrong_epoch$/);
    proxy.cut();
    await follower.line(new RegExp(`^two sidecars: ${EPOCH} came back$`));
    expect((await follower.end).code).toBe(3);
  });
});
