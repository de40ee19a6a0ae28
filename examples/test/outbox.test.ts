import { describe, expect, it } from "vitest";
import { startFilter, startProxy } from "./between.js";
import { another, type Example, isBuilt, LANGUAGES, type Language } from "./example.js";
import { useSidecars } from "./sidecars.js";

const ONE = "$one:example.org";
const REGISTERED = /^registered ([0-9a-f]{32})$/;
const SILENCE_TIMEOUT_MS = 120_000;

const { path, serve, start, cleanUp } = useSidecars();
let databases = 0;

function database(): string {
  databases += 1;
  return path(`homeserver-${databases}.db`);
}

/** What a worker makes of the event: its text, and where it is from. */
async function read(worker: Example): Promise<{ text: string; source: string }> {
  const [, text = "", source = ""] = await worker.ask(`read ${ONE}`, /^read \S+ (\S+) (.*)$/);
  return { text, source };
}

/** Reads until one comes from there; resolves to the texts until then. */
async function readUntil(worker: Example, source: RegExp): Promise<string[]> {
  const texts: string[] = [];
  for (;;) {
    const event = await read(worker);
    texts.push(event.text);
    if (source.test(event.source)) return texts;
  }
}

/** Until a change is announced in time: the first one waits until the epoch counts, and a busy machine may let it pass. */
async function changeUntilAnnounced(writer: Example, text: string): Promise<void> {
  let outcome = "";
  while (outcome !== "and announced") {
    [, outcome = ""] = await writer.ask(`change ${ONE} ${text}`, /^changed \S+ (.*)$/);
  }
}

async function commitAndDie(language: Language, file: string, text: string): Promise<void> {
  const { code, lines } = await start(language, "commit-and-die", file, ONE, text).end;
  expect(lines).toEqual([expect.stringMatching(/^committed \S+$/)]);
  expect(code).not.toBe(0);
}

describe.each(LANGUAGES)("a worker in $name", (language) => {
  const example = it.runIf(isBuilt(language));

  example("fills the cache, keeps what it reads, and shows a change of another worker at once", async () => {
    const { address } = await serve("127.0.0.1:0");
    const file = database();
    const reader = start(language, "worker", address, file);
    expect(new Set(await readUntil(reader, /^kept$/))).toEqual(new Set(["one"]));
    const writer = start(another(language), "worker", address, file);
    await writer.line(REGISTERED);
    await changeUntilAnnounced(writer, "two");
    // What the sidecar has is new at once. What the reader keeps lasts until its notice comes.
    await expect.poll(() => read(reader), { timeout: 20_000 }).toMatchObject({ text: "two" });
    expect(new Set(await readUntil(reader, /^kept$/))).toEqual(new Set(["two"]));
  });

  example("relays a change whose process died before it announced it", async () => {
    const { address } = await serve("127.0.0.1:0");
    const file = database();
    const reader = start(language, "worker", address, file);
    await readUntil(reader, /^from the cache$/);
    await commitAndDie(another(language), file, "two");
    await reader.line(/^relayed 1$/);
    await expect.poll(() => read(reader), { timeout: 20_000 }).toMatchObject({ text: "two" });
    expect(new Set(await readUntil(reader, /^from the cache$|^kept$/))).toEqual(new Set(["two"]));
  });

  example("stops using the cache while a change is overdue that nobody can announce", async () => {
    const { address } = await serve("127.0.0.1:0");
    const filter = await startFilter(address);
    cleanUp(filter.close);
    const file = database();
    const reader = start(language, "worker", filter.address, file);
    await readUntil(reader, /^from the cache$/);
    await commitAndDie(another(language), file, "two");
    const texts = await readUntil(reader, /^from the database, the gate is closed$/);
    expect(texts.at(-1)).toBe("two");
    // The cache still has the old text. Nobody uses it.
    await readUntil(reader, /^from the database, the gate is closed$/);
    filter.letAnnouncementsPass();
    await reader.line(/^relayed 1$/);
    // What the reader keeps lasts until its notice comes.
    await expect.poll(() => read(reader), { timeout: 20_000 }).toMatchObject({ text: "two" });
    expect(new Set(await readUntil(reader, /^from the cache$|^kept$/))).toEqual(new Set(["two"]));
  });

  example("registers the new epoch after a restart of the sidecar", async () => {
    const first = await serve("127.0.0.1:0");
    const worker = start(language, "worker", first.address, database());
    await worker.line(/^registered no epoch$/);
    const [, before] = await worker.line(REGISTERED);
    await readUntil(worker, /^from the cache$/);
    first.process.kill("SIGKILL");
    await first.process.end;
    await worker.ask(`change ${ONE} two`, /^changed \S+ and left to the relays$/);
    const second = await serve(first.address);
    const [, after] = await worker.line(REGISTERED);
    expect(after).not.toBe(before);
    // The epoch in which it started: nobody had to begin another one.
    expect(JSON.parse(await second.process.logLine('"reason":"started"'))).toMatchObject({ epoch: after });
    await worker.line(/^relayed 1$/);
    expect(new Set(await readUntil(worker, /^from the cache$/))).toEqual(new Set(["two"]));
  });
});

it.runIf(LANGUAGES.every(isBuilt))(
  "workers in all languages never return to a superseded sidecar, but begin a new epoch if it is the only one left",
  async () => {
    const [old, other] = [await serve("127.0.0.1:0"), await serve("127.0.0.1:0")];
    const proxy = await startProxy([old.port]);
    cleanUp(() => proxy.close());
    const file = database();
    const workers = LANGUAGES.map((language) => start(language, "worker", proxy.address, file));
    await Promise.all(workers.map((worker) => readUntil(worker, /^from the cache$|^kept$/)));
    proxy.leadTo(other.port);
    await Promise.all(workers.map((worker) => worker.line(REGISTERED)));
    await Promise.all(workers.map((worker) => readUntil(worker, /^from the cache$|^kept$/)));
    proxy.leadTo(old.port);
    const epochs = await Promise.all(workers.map((worker) => worker.line(REGISTERED)));
    expect(new Set(epochs.map(([, epoch]) => epoch)).size).toBe(1);
    await Promise.all(workers.map((worker) => readUntil(worker, /^from the cache$|^kept$/)));
  },
  SILENCE_TIMEOUT_MS,
);
