const SOURCE = "src/log/postgres/";
const APPEND = "test/integration/postgres/append-and-follow.test.ts";
const MEMBERS = "test/integration/postgres/members.test.ts";
const RESTARTS = "test/integration/postgres/restarts.test.ts";
const FAILURES = "test/integration/postgres/failures.test.ts";
const CRASH = "test/integration/postgres/crash.test.ts";
const LATE = "test/integration/postgres/late-statements.test.ts";
const CLOCK = "test/unit/log/postgres/clock.test.ts";

/** Mutants of the PostgreSQL log, as `mutate-log.mjs` takes them. */
export const LOG_MUTANTS = [
  {
    rule: "M1",
    what: "joins again without dropping the cache",
    file: `${SOURCE}follow/followed-homeservers.ts`,
    change: ["for (const followed of this.all) followed.drop(reason);", "void reason;"],
    test: [MEMBERS, "is cut off in both directions"],
  },
  {
    rule: "M1",
    what: "is current before it has applied what it enrolled at",
    file: `${SOURCE}follow/follower.ts`,
    change: [
      "  wake(followed: FollowedHomeserver): void {\n",
      "  wake(followed: FollowedHomeserver): void {\n    followed.loaded();\n",
    ],
    test: [APPEND, "loads the retained changes"],
  },
  {
    rule: "M2",
    what: "a lease that does not end",
    file: `${SOURCE}membership/membership.ts`,
    change: [
      "return this.#options.clock.nowMs() < this.#leaseEndMs;",
      "return this.#leaseEndMs > Number.NEGATIVE_INFINITY;",
    ],
    test: [MEMBERS, "is cut off in both directions"],
  },
  {
    rule: "M2",
    what: "a renewal that ignores that the member was expelled",
    file: `${SOURCE}membership/membership.ts`,
    change: ['if (!row.renewed) return this.#lose("expelled");', ""],
    test: [MEMBERS, "is cut off in both directions"],
  },
  {
    rule: "M2",
    what: "a clock that stands still while the machine is suspended",
    file: `${SOURCE}clock.ts`,
    change: ["this.#sources.monotonicMs() + this.#suspendedMs", "this.#sources.monotonicMs()"],
    test: [CLOCK, "suspended"],
  },
  {
    rule: "M2",
    what: "a sidecar that renews although it cannot read",
    file: `${SOURCE}postgres-log.ts`,
    change: ["!this.#follower.isFailing && this.#isOneServer()", "this.#isOneServer()"],
    test: [FAILURES, "cannot read the log"],
  },
  {
    rule: "M3",
    what: "confirms without waiting for the members",
    file: `${SOURCE}append/acknowledgements.ts`,
    change: ["mayConfirm && !lagging.has(wait)", "mayConfirm"],
    test: [MEMBERS, "is cut off in both directions"],
  },
  {
    rule: "M3",
    what: "expels a member at once",
    file: `${SOURCE}append/acknowledgements.ts`,
    change: ["receivedMs - seen.sinceMs >= this.#options.limits.expelAfterMs", "receivedMs >= seen.sinceMs"],
    test: [MEMBERS, "is cut off in both directions"],
  },
  {
    rule: "M3",
    what: "compares counters over a crash, in a change that waits",
    file: `${SOURCE}append/acknowledgements.ts`,
    change: ["if (session !== this.#countersOf) this.#counters.clear();", ""],
    test: [CRASH, "by a change that waits"],
  },
  {
    rule: "M3",
    what: "compares counters over a crash, in the sweep",
    file: `${SOURCE}background/trim.ts`,
    change: ["this.#seen?.session === session ? this.#seen : undefined", "this.#seen"],
    test: [CRASH, "by the sweep"],
  },
  {
    rule: "M4",
    what: "reports once what a crash may take back",
    file: `${SOURCE}follow/follower.ts`,
    change: ["if (followed.enrolment !== undefined) followed.enrolment.reported = undefined;", ""],
    test: [CRASH, "is reported again"],
  },
  {
    rule: "M4",
    what: "reports without applying",
    file: `${SOURCE}follow/follower.ts`,
    change: [
      "    applyTo(followed, change.bytes);",
      '    followed.restart({ epoch, sequence: change.sequence }, "asked");',
    ],
    test: [APPEND, "loads the retained changes"],
  },
  {
    rule: "M4",
    what: "writes through at a later time",
    file: `${SOURCE}follow/followed-homeserver.ts`,
    change: ["    this.#applies.delete(token);\n  }\n\n  /** The copy has", "  }\n\n  /** The copy has"],
    test: [MEMBERS, "applied by the copy itself"],
  },
  {
    rule: "M4",
    what: "applies changes from notifications that anybody may have sent",
    file: `${SOURCE}codec/notification.ts`,
    change: [
      "if (changes.length === 0 || sign(payload.slice(0, end), key) !== payload) {",
      "if (key.length === 0) {",
    ],
    test: [APPEND, "another role of the database"],
  },
  {
    rule: "M8",
    what: "goes on over a gap",
    file: `${SOURCE}follow/follower.ts`,
    change: ["if (change.sequence !== position.sequence + 1) {", "if (change.sequence < 0) {"],
    test: [MEMBERS, "removed meanwhile"],
  },
  {
    rule: "M9",
    what: "keeps its epochs when the server starts again",
    file: `${SOURCE}schema/schema-sql.ts`,
    change: ["(extract(epoch from pg_catalog.pg_postmaster_start_time()) * 1000000)::bigint::text", "''"],
    test: [RESTARTS, "begins new epochs after a restart"],
  },
  {
    rule: "M9",
    what: "confirms at once after a start",
    file: `${SOURCE}membership/incarnation.ts`,
    change: [
      "return this.#isSettled || (this.#seen !== undefined && this.#waitedMs >= this.#waitMs);",
      "return true;",
    ],
    test: [RESTARTS, "confirms nothing after a restart"],
  },
  {
    rule: "M9",
    what: "goes on with a log that went back",
    file: `${SOURCE}follow/follower.ts`,
    change: ["      this.#options.onBackwards(followed);\n", ""],
    test: [MEMBERS, "has gone back"],
  },
  {
    rule: "M10",
    what: "leaves its row behind when it stops following",
    file: `${SOURCE}postgres-log.ts`,
    change: ["void this.#background.call(() => this.#enrolments.leave(followed));", ""],
    test: [APPEND, "has left or stopped"],
  },
  {
    rule: "M10",
    what: "lets a late enrolment report",
    file: `${SOURCE}follow/enrolments.ts`,
    change: [
      "do update set enrolment = excluded.enrolment\n            where a.enrolment < excluded.enrolment",
      "do update set epoch = excluded.epoch, sequence = excluded.sequence",
    ],
    test: [LATE, "for the second time"],
  },
  {
    rule: "M10",
    what: "lets a late leave end a later enrolment",
    file: `${SOURCE}follow/enrolments.ts`,
    change: ["member = $2 and enrolment <= $3", "member = $2 and $3::bigint > 0"],
    test: [LATE, "came after a leave"],
  },
  {
    rule: "M10",
    what: "lets a late sweep end a later enrolment",
    file: `${SOURCE}follow/enrolments.ts`,
    change: ["all ($2::bytea[]) and enrolment <= $3", "all ($2::bytea[]) and $3::bigint > 0"],
    test: [LATE, "came after a sweep"],
  },
];
