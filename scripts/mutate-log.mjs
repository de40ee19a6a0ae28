/**
 * Puts each rule of the PostgreSQL log and of the tier out of force in the code, and expects the test that is named to
 * fail. Changes the files of the working tree, one after the other, and puts them back; needs PostgreSQL.
 * Arguments select rules, such as M2, or words of what is broken. With --check it only checks that each mutant
 * still applies to the code.
 */
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import process from "node:process";

const SOURCE = "src/log/postgres/";
const APPEND = "test/integration/postgres/append-and-follow.test.ts";
const MEMBERS = "test/integration/postgres/members.test.ts";
const RESTARTS = "test/integration/postgres/restarts.test.ts";
const FAILURES = "test/integration/postgres/failures.test.ts";
const CRASH = "test/integration/postgres/crash.test.ts";
const LATE = "test/integration/postgres/late-statements.test.ts";
const CLOCK = "test/unit/log/postgres/clock.test.ts";
const SIDECARS = "test/contract/three-sidecars.test.ts";
const STORE = "test/unit/store/event-store.test.ts";
const TIER = "test/unit/store/shared-tier.test.ts";
const VALUES = "test/integration/tier/values.test.ts";

/** `file`: in SOURCE unless it begins with `src/`. `change`: what stands in the file, and what is put in its place, in pairs. */
const MUTANTS = [
  {
    rule: "M1",
    what: "joins again without dropping the cache",
    file: "postgres-log.ts",
    change: ["for (const followed of this.#all) followed.drop(reason);", "void reason;"],
    test: [MEMBERS, "is cut off in both directions"],
  },
  {
    rule: "M1",
    what: "is current before it has applied what it enrolled at",
    file: "follower.ts",
    change: [
      "  wake(followed: FollowedHomeserver): void {\n",
      "  wake(followed: FollowedHomeserver): void {\n    followed.loaded();\n",
    ],
    test: [APPEND, "loads the retained changes"],
  },
  {
    rule: "M2",
    what: "a lease that does not end",
    file: "membership.ts",
    change: [
      "return this.#options.clock.nowMs() < this.#leaseEndMs;",
      "return this.#leaseEndMs > Number.NEGATIVE_INFINITY;",
    ],
    test: [MEMBERS, "is cut off in both directions"],
  },
  {
    rule: "M2",
    what: "a renewal that ignores that the member was expelled",
    file: "membership.ts",
    change: ['if (!row.renewed) return this.#lose("expelled");', ""],
    test: [MEMBERS, "is cut off in both directions"],
  },
  {
    rule: "M2",
    what: "a clock that stands still while the machine is suspended",
    file: "clock.ts",
    change: ["this.#sources.monotonicMs() + this.#suspendedMs", "this.#sources.monotonicMs()"],
    test: [CLOCK, "suspended"],
  },
  {
    rule: "M2",
    what: "a sidecar that renews although it cannot read",
    file: "postgres-log.ts",
    change: ["!this.#follower.isFailing && this.#isOneServer()", "this.#isOneServer()"],
    test: [FAILURES, "cannot read the log"],
  },
  {
    rule: "M3",
    what: "confirms without waiting for the members",
    file: "acknowledgements.ts",
    change: ["mayConfirm && !lagging.has(wait)", "mayConfirm"],
    test: [MEMBERS, "is cut off in both directions"],
  },
  {
    rule: "M3",
    what: "expels a member at once",
    file: "acknowledgements.ts",
    change: ["receivedMs - seen.sinceMs >= this.#options.limits.expelAfterMs", "receivedMs >= seen.sinceMs"],
    test: [MEMBERS, "is cut off in both directions"],
  },
  {
    rule: "M3",
    what: "compares counters over a crash, in a change that waits",
    file: "acknowledgements.ts",
    change: ["if (session !== this.#countersOf) this.#counters.clear();", ""],
    test: [CRASH, "by a change that waits"],
  },
  {
    rule: "M3",
    what: "compares counters over a crash, in the sweep",
    file: "trim.ts",
    change: ["this.#seen?.session === session ? this.#seen : undefined", "this.#seen"],
    test: [CRASH, "by the sweep"],
  },
  {
    rule: "M4",
    what: "reports once what a crash may take back",
    file: "follower.ts",
    change: ["if (followed.enrolment !== undefined) followed.enrolment.reported = undefined;", ""],
    test: [CRASH, "is reported again"],
  },
  {
    rule: "M4",
    what: "reports without applying",
    file: "follower.ts",
    change: [
      "    applyTo(followed, change.bytes);",
      '    followed.restart({ epoch, sequence: change.sequence }, "asked");',
    ],
    test: [APPEND, "loads the retained changes"],
  },
  {
    rule: "M4",
    what: "writes through at a later time",
    file: "followed-homeserver.ts",
    change: ["    this.#applies.delete(token);\n  }\n\n  /** The copy has", "  }\n\n  /** The copy has"],
    test: [MEMBERS, "applied by the copy itself"],
  },
  {
    rule: "M4",
    what: "applies changes from notifications that anybody may have sent",
    file: "notification.ts",
    change: [
      "if (changes.length === 0 || sign(payload.slice(0, end), key) !== payload) {",
      "if (key.length === 0) {",
    ],
    test: [APPEND, "another role of the database"],
  },
  {
    rule: "M5",
    what: "takes a put that a change has outdated",
    file: "src/core/rules/invalidation-log.ts",
    change: [
      'return fence > asOf.sequence ? "fenced" : "stored";',
      'return fence < 0 ? "fenced" : "stored";',
    ],
    test: [SIDECARS, "judges a fill by a position of another one"],
  },
  {
    rule: "M5",
    what: "takes a put from before what the copy reaches",
    file: "src/core/rules/invalidation-log.ts",
    change: ['if (asOf.sequence < this.#trimmedThrough) return "tooOld";', ""],
    test: [SIDECARS, "older than the log reaches"],
  },
  {
    rule: "M5",
    what: "takes a put of another epoch",
    file: "src/core/rules/invalidation-log.ts",
    change: ['if (!this.#covers(asOf)) return "wrongEpoch";\n    if (asOf', "if (asOf"],
    test: [SIDECARS, "refuse positions of the old one"],
  },
  {
    rule: "M6",
    what: "takes an entry of the tier without judging it",
    file: "src/core/rules/split-cache.ts",
    change: [
      'if (homeserver.log.judge(asOf, event.eventId, event.roomId) !== "stored") return;',
      "void asOf;",
    ],
    test: [SIDECARS, "from before a change at another one"],
  },
  {
    rule: "M6",
    what: "writes an entry back as of a later position than its lookup",
    file: "src/core/rules/split-cache.ts",
    change: [
      "asOf: homeserver.log.position,",
      "asOf: { ...homeserver.log.position, sequence: homeserver.log.position.sequence + 1 },",
    ],
    test: [TIER, "write an entry in use again, as of now"],
  },
  {
    rule: "M6",
    what: "prolongs the life of an entry when it is written back",
    file: "src/core/rules/split-cache.ts",
    change: ["expiresAtMs: entry.expiresAtMs,\n    });", "expiresAtMs: entry.expiresAtMs + 1000,\n    });"],
    test: [TIER, "write an entry in use again, as of now"],
  },
  {
    rule: "M6",
    what: "takes metadata that was not signed with its key",
    file: "src/tier/redis/metadata.ts",
    change: ["if (!timingSafeEqual(mac, this.#macOf(homeserver, name, value)))", "if (mac.length === 0)"],
    test: [VALUES, "written with another secret"],
  },
  {
    rule: "M6",
    what: "takes a body whose digest is wrong",
    file: "src/tier/redis/body.ts",
    change: [
      "value.length !== size || !referenceTo(value).digest.equals(digest)",
      "value.length !== size && digest",
    ],
    test: [VALUES, "a body that was altered"],
  },
  {
    rule: "M7",
    what: "gives a reply a position from after its lookup",
    file: "src/store/reads.ts",
    change: [
      "this.#cache.getEvents(state, request, this.#clock(), take);",
      "this.#cache.getEvents(state, request, this.#clock(), (found) =>" +
        " take({ ...found, position: { ...found.position, sequence: found.position.sequence + 1 } }));",
    ],
    test: [STORE, "gives a reply the position of its lookup"],
  },
  {
    rule: "M8",
    what: "goes on over a gap",
    file: "follower.ts",
    change: ["if (change.sequence !== position.sequence + 1) {", "if (change.sequence < 0) {"],
    test: [MEMBERS, "removed meanwhile"],
  },
  {
    rule: "M9",
    what: "keeps its epochs when the server starts again",
    file: "schema-sql.ts",
    change: ["(extract(epoch from pg_catalog.pg_postmaster_start_time()) * 1000000)::bigint::text", "''"],
    test: [RESTARTS, "begins new epochs after a restart"],
  },
  {
    rule: "M9",
    what: "confirms at once after a start",
    file: "incarnation.ts",
    change: [
      "return this.#isSettled || (this.#seen !== undefined && this.#waitedMs >= this.#waitMs);",
      "return true;",
    ],
    test: [RESTARTS, "confirms nothing after a restart"],
  },
  {
    rule: "M9",
    what: "goes on with a log that went back",
    file: "follower.ts",
    change: ["      this.#options.onBackwards(followed);\n", ""],
    test: [MEMBERS, "has gone back"],
  },
  {
    rule: "M10",
    what: "leaves its row behind when it stops following",
    file: "postgres-log.ts",
    change: ["void this.#background.call(() => this.#enrolments.leave(followed));", ""],
    test: [APPEND, "has left or stopped"],
  },
  {
    rule: "M10",
    what: "lets a late enrolment report",
    file: "enrolments.ts",
    change: [
      "do update set enrolment = excluded.enrolment\n            where a.enrolment < excluded.enrolment",
      "do update set epoch = excluded.epoch, sequence = excluded.sequence",
    ],
    test: [LATE, "for the second time"],
  },
  {
    rule: "M10",
    what: "lets a late leave end a later enrolment",
    file: "enrolments.ts",
    change: ["member = $2 and enrolment <= $3", "member = $2 and $3::bigint > 0"],
    test: [LATE, "came after a leave"],
  },
  {
    rule: "M10",
    what: "lets a late sweep end a later enrolment",
    file: "enrolments.ts",
    change: ["all ($2::bytea[]) and enrolment <= $3", "all ($2::bytea[]) and $3::bigint > 0"],
    test: [LATE, "came after a sweep"],
  },
];

const isCheck = process.argv.includes("--check");
const wanted = process.argv.slice(2);
const selected = MUTANTS.filter(
  ({ rule, what }) => wanted.length === 0 || wanted.some((word) => rule === word || what.includes(word)),
);
/** Returns a file's path, its text and its broken text. Throws if the text to break is not in it exactly once. */
function broken({ file, change }) {
  const path = file.startsWith("src/") ? file : SOURCE + file;
  const text = readFileSync(path, "utf8");
  let mutant = text;
  for (let at = 0; at < change.length; at += 2) {
    if (mutant.split(change[at]).length !== 2) throw new Error(`${path} must contain once: ${change[at]}`);
    mutant = mutant.replace(change[at], () => change[at + 1]);
  }
  return { path, text, mutant };
}

// All are checked before the first one runs: a change of the code must not leave the rest unproven.
for (const mutant of MUTANTS) broken(mutant);
if (isCheck) process.exit(0);

let caught = 0;
for (const selectedMutant of selected) {
  const { rule, what, test } = selectedMutant;
  const { path, text, mutant } = broken(selectedMutant);
  const restore = () => writeFileSync(path, text);
  process.once("exit", restore);
  writeFileSync(path, mutant);
  const [testFile, name] = test;
  const { status } = spawnSync("npx", ["vitest", "run", testFile, "-t", name], { stdio: "ignore" });
  restore();
  process.off("exit", restore);
  if (status !== 0) caught += 1;
  console.log(`${status === 0 ? "SURVIVED" : "caught"}: ${rule}, ${what} (${name})`);
}
console.log(`${caught} caught, ${selected.length - caught} survived`);
process.exitCode = caught === selected.length ? 0 : 1;
