import { type Alteration, alterProgram, type Program } from "../program/build-program.js";

const CODEC = "log/postgres/codec/change-codec.js";
const NOTIFICATION = "log/postgres/codec/notification.js";
const SCHEMA = "log/postgres/schema/schema-sql.js";
const METADATA = "tier/redis/metadata.js";
const BODY = "tier/redis/body.js";

/** A version that reads the next form of everything, and still writes the form of now. */
const READS_NEXT: readonly Alteration[] = [
  [CODEC, "bytes[0] !== VERSION ||", "(bytes[0] !== 1 && bytes[0] !== 2) ||"],
  [METADATA, "value[0] !== FORMAT", "value[0] !== 1 && value[0] !== 2"],
  // biome-ignore lint/suspicious/noTemplateCurlyInString: it is in the built module
  [METADATA, "`${FORMAT}:${name.length}", "`${value[0]}:${name.length}"],
  [BODY, "value[0] !== FORMAT", "value[0] !== 1 && value[0] !== 2"],
];

/** And a version that writes it. */
const WRITES_NEXT: readonly Alteration[] = [
  ...READS_NEXT,
  [CODEC, "const VERSION = 1;", "const VERSION = 2;"],
  [METADATA, "const FORMAT = 1;", "const FORMAT = 2;"],
  [BODY, "const FORMAT = 1;", "const FORMAT = 2;"],
  // The one of now takes the notifications of this one for hints, and the reverse.
  [NOTIFICATION, "const MAC_BYTES = 16;", "const MAC_BYTES = 12;"],
];

/** The program as it is, and as versions to come may be. */
export interface Versions {
  readonly now: Program;
  readonly readsNext: Program;
  readonly writesNext: Program;
  readonly otherSchema: Program;
  remove(): Promise<void>;
}

export async function versionsOf(now: Program): Promise<Versions> {
  const readsNext = await alterProgram(now, READS_NEXT);
  const writesNext = await alterProgram(now, WRITES_NEXT);
  const otherSchema = await alterProgram(now, [[SCHEMA, "SCHEMA_VERSION = 1", "SCHEMA_VERSION = 2"]]);
  return {
    now,
    readsNext,
    writesNext,
    otherSchema,
    remove: async () => {
      for (const program of [readsNext, writesNext, otherSchema, now]) await program.remove();
    },
  };
}
