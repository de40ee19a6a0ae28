import { describe, expect, it } from "vitest";
import { startProxy } from "./between.js";
import { isBuilt, LANGUAGES } from "./example.js";
import { useSidecars } from "./sidecars.js";

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
  "new epoch",
  "done",
];

const { path, serve, start, splitcache, cleanUp } = useSidecars();

describe.each(LANGUAGES)("the example in $name", (language) => {
  const example = it.runIf(isBuilt(language));

  example.each(["tcp", "unix"])("makes every call, over %s", async (kind) => {
    const { address } = await serve(kind === "tcp" ? "127.0.0.1:0" : `unix:${path(`${language.name}.sock`)}`);
    const { code, lines } = await start(language, "tour", address).end;
    expect(lines.map((line) => line.replace(/\{.*\}/, "{…}"))).toEqual(TOUR);
    expect(code).toBe(0);
  });

  example("follows what changes, and resumes where its connection broke", async () => {
    const { address, port } = await serve("127.0.0.1:0");
    const proxy = await startProxy([port]);
    cleanUp(() => proxy.close());
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

  example("is reset after a restart of the sidecar", async () => {
    const first = await serve("127.0.0.1:0");
    const follower = start(language, "follow", first.address);
    const [, before] = await follower.line(new RegExp(`^ready (${EPOCH}):0 resumed=false$`));
    first.process.kill("SIGTERM");
    await follower.line(/^going away$/);
    await follower.line(/^disconnected UNAVAILABLE$/);
    await serve(first.address);
    const [, after] = await follower.line(new RegExp(`^reset (${EPOCH}):0 wrong_epoch$`));
    expect(after).not.toBe(before);
    expect(await follower.stop()).toBe(0);
  });

  example("stops if two sidecars answer at one address", async () => {
    const ports = [(await serve("127.0.0.1:0")).port, (await serve("127.0.0.1:0")).port];
    const proxy = await startProxy(ports);
    cleanUp(() => proxy.close());
    const follower = start(language, "follow", proxy.address);
    await follower.line(/^ready /);
    proxy.cut();
    await follower.line(/^reset .* wrong_epoch$/);
    proxy.cut();
    await follower.line(new RegExp(`^two sidecars: ${EPOCH} came back$`));
    expect((await follower.end).code).toBe(3);
  });
});
