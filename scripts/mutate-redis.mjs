/**
 * Breaks the Redis store in each way that its promises are there to prevent, and expects the test that is
 * named to fail. Stryker has no eyes for this: half of it is Lua, and the rest is a matter of several servers.
 * Changes the files of the working tree, one after the other, and puts them back; needs a redis-server.
 */
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import process from "node:process";

const ONE_CACHE = "test/integration/redis/one-cache.test.ts";
const LOSSES = "test/integration/redis/losses.test.ts";
const FAILOVER = "test/integration/redis/failover.test.ts";
const PRELUDE = "src/store/redis/lua/prelude.ts";
const PROOFS = "src/store/redis/proofs.ts";

const NOT_PROVEN_FOR_LONG = [
  "isProven() && clock() >= primary.provenSinceMs + lifetimeMs",
  "isProven()",
  "if (isProven()) await this.#until(primary.provenSinceMs + lifetimeMs);",
  "",
];

/** `change`: what stands in the file, and what is put in its place, in pairs. */
const MUTANTS = [
  {
    what: "no replication-ID check",
    file: PRELUDE,
    change: ["if not v[1] or v[4] ~= replid then", "if not v[1] then"],
    test: [LOSSES, "starts a new epoch on another server"],
  },
  {
    what: "sequence numbers that the server chooses",
    file: PRELUDE,
    change: ["redis.call('XADD', LOG, sequence .. '-0',", "redis.call('XADD', LOG, '*',"],
    test: [ONE_CACHE, "resumes a subscriber at another sidecar"],
  },
  {
    what: "epoch and sequence in two keys",
    file: PRELUDE,
    change: [
      "'epoch', S.epoch, 'sequence', int(S.sequence),",
      "'epoch', S.epoch,",
      "  if message then redis.call('SPUBLISH'",
      "  redis.call('SET', PREFIX .. 'sequence', int(S.sequence), 'PX', 60000)\n  if message then redis.call('SPUBLISH'",
      "S.epoch, S.sequence, S.trimmed = v[1], tonumber(v[2]), tonumber(v[3])",
      "S.epoch, S.sequence, S.trimmed = v[1], tonumber(redis.call('GET', PREFIX .. 'sequence') or 0), tonumber(v[3])",
    ],
    test: [LOSSES, "serves nothing that a lost key would have forbidden"],
  },
  {
    what: "metadata that the sidecar keeps",
    file: "src/store/redis/redis-store.ts",
    change: [
      "  async #lookUp(homeserver",
      "  readonly #kept = new Map<string, Awaited<ReturnType<RedisStore['#lookUpNow']>>>();\n" +
        "  async #lookUp(homeserver: RemoteHomeserver, eventIds: readonly EventId[]) {\n" +
        "    const key = [homeserver.name, ...eventIds].join();\n" +
        "    const kept = this.#kept.get(key) ?? (await this.#lookUpNow(homeserver, eventIds));\n" +
        "    this.#kept.set(key, kept);\n    return kept;\n  }\n  async #lookUpNow(homeserver",
    ],
    test: [ONE_CACHE, "sees at once what another has changed"],
  },
  {
    what: "proofs that hold for ever (no heartbeat)",
    file: PROOFS,
    change: ["nowMs - primary.proof.sentAtMs < this.#options.lifetimeMs &&", ""],
    test: [FAILOVER, "serves nothing at the old one"],
  },
  {
    what: "proofs without WAIT",
    file: "src/store/redis/client-library.ts",
    change: [
      'needed === 0 ? 0 : Number(await send(["WAIT", String(needed), String(PROOF_ACK_TIMEOUT_MS)]))',
      "PROOF_ACK_TIMEOUT_MS && needed",
    ],
    test: [FAILOVER, "serves nothing at the old one|acknowledges no change at the old one"],
  },
  {
    what: "no waiting out after a failover",
    file: PROOFS,
    change: ["await this.#until(primary.firstSeenMs + lifetimeMs);", "", ...NOT_PROVEN_FOR_LONG],
    test: [FAILOVER, "serves nothing at the old one"],
  },
  {
    what: "a wait from when the new primary was first seen, and no longer",
    file: PROOFS,
    change: NOT_PROVEN_FOR_LONG,
    test: [FAILOVER, "that has just proven the old one"],
  },
  {
    what: "a replica that counts once a connection",
    file: "src/store/redis/lua/replication.ts",
    change: ["if not counted[address] then", "if address then"],
    test: ["test/integration/redis/replicas.test.ts", "counts a replica once"],
  },
  {
    what: "a resume across a trimmed stream",
    file: "src/store/redis/log-follower.ts",
    change: [
      "sequence !== this.#log.position.sequence + 1 || change === undefined",
      "change === undefined",
      "if (entries.length === 0 && this.#log.position.sequence < position.sequence)",
      "if (entries.length < 0)",
    ],
    test: [LOSSES, "resets a subscriber that would resume"],
  },
  {
    what: "a purge that forgets the room's token",
    file: "src/store/redis/lua/events.ts",
    change: [
      "redis.call('UNLINK', KEYS[4], value and PREFIX",
      "redis.call('EXISTS', KEYS[4], value and PREFIX",
    ],
    test: ["test/contract/redis.test.ts", "purge"],
  },
];

let caught = 0;
for (const { what, file, change, test } of MUTANTS) {
  const text = readFileSync(file, "utf8");
  let mutant = text;
  for (let at = 0; at < change.length; at += 2) {
    if (mutant.split(change[at]).length !== 2) throw new Error(`${file} does not have once: ${change[at]}`);
    mutant = mutant.replace(change[at], () => change[at + 1]);
  }
  const restore = () => writeFileSync(file, text);
  process.once("exit", restore);
  writeFileSync(file, mutant);
  const [path, name] = test;
  const { status } = spawnSync("npx", ["vitest", "run", path, "-t", name], { stdio: "ignore" });
  restore();
  process.off("exit", restore);
  if (status !== 0) caught += 1;
  console.log(`${status === 0 ? "SURVIVED" : "caught"}: ${what} (${name})`);
}
console.log(`${caught} caught, ${MUTANTS.length - caught} survived`);
process.exitCode = caught === MUTANTS.length ? 0 : 1;
