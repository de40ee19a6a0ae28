const SIDECARS = "test/contract/three-sidecars.test.ts";
const STORE = "test/unit/store/event-store.test.ts";
const TIER = "test/unit/store/shared-tier.test.ts";
const VALUES = "test/integration/tier/values.test.ts";

/** Mutants of the fence, the store and the tier, as `mutate-log.mjs` takes them. */
export const CACHE_MUTANTS = [
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
    file: "src/store/store-reads.ts",
    change: [
      "this.#cache.getEvents(state, request, this.#clock(), take);",
      "this.#cache.getEvents(state, request, this.#clock(), (found) =>" +
        " take({ ...found, position: { ...found.position, sequence: found.position.sequence + 1 } }));",
    ],
    test: [STORE, "gives a reply the position of its lookup"],
  },
];
