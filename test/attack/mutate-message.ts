import type { Random } from "./random.js";
import type { Method } from "./requests.js";
import * as fields from "./wire-fields.js";

/** A message that was changed. */
export interface Mutated {
  readonly bytes: Buffer;
  /** What was done to it, for a report. */
  readonly name: string;
  /** The contract demands that it be refused. */
  readonly isRefused: boolean;
}

interface Mutation {
  readonly name: string;
  readonly isRefused?: boolean;
  /** Undefined: this message cannot be changed so. */
  apply(bytes: Buffer, random: Random, method: Method): Buffer | undefined;
}

/** Changes a valid message of a method in one way. */
export function mutateMessage(bytes: Buffer, random: Random, method: Method): Mutated {
  for (;;) {
    const { name, isRefused = false, apply } = random.pick(MUTATIONS);
    const mutated = apply(bytes, random, method);
    if (mutated !== undefined) return { bytes: mutated, name, isRefused };
  }
}

const INVALID_UTF8 = ["ff", "c328", "c0af", "eda080", "f4908080", "e282", "80"].map((hex) =>
  Buffer.from(hex, "hex"),
);

const MUTATIONS: readonly Mutation[] = [
  {
    name: "flipped bits",
    apply: (bytes, random) => {
      if (bytes.length === 0) return undefined;
      const flipped = Buffer.from(bytes);
      for (let count = random.between(1, 8); count > 0; count--) {
        const at = random.below(flipped.length);
        flipped[at] = flipped[at]! ^ (1 << random.below(8));
      }
      return flipped;
    },
  },
  { name: "cut short", apply: (bytes, random) => bytes.subarray(0, random.below(bytes.length + 1)) },
  {
    name: "garbage behind it",
    apply: (bytes, random) => Buffer.concat([bytes, random.bytes(random.between(1, 64))]),
  },
  { name: "nothing but garbage", apply: (_, random) => random.bytes(random.below(300)) },
  { name: "empty", apply: () => Buffer.alloc(0) },
  {
    name: "a length that lies",
    apply: (bytes, random) => {
      const parsed = parsed1(bytes);
      const index = indexOf(parsed, random, ({ type }) => type === fields.LENGTH_DELIMITED);
      if (index === undefined) return undefined;
      const { number, value } = parsed[index]!;
      const length = random.pick([
        0,
        value.length + 1,
        value.length - 1,
        2 ** 31,
        2 ** 32 - 1,
        2 ** 32 + value.length,
      ]);
      const lying = Buffer.concat([fields.varint(number * 8 + 2), fields.varint(Math.max(0, length)), value]);
      return around(parsed, index, lying);
    },
  },
  {
    name: "a length in more bytes than it needs",
    apply: (bytes, random) => {
      const parsed = parsed1(bytes);
      const index = indexOf(parsed, random, ({ type }) => type === fields.LENGTH_DELIMITED);
      if (index === undefined) return undefined;
      const { number, value } = parsed[index]!;
      const length = fields.varint(value.length);
      length[length.length - 1]! |= 128;
      const long = Buffer.concat([length, Buffer.alloc(random.between(0, 8), 128), Buffer.from([0])]);
      return around(parsed, index, Buffer.concat([fields.varint(number * 8 + 2), long, value]));
    },
  },
  {
    name: "a singular message twice",
    isRefused: true,
    apply: (bytes, random, { singularMessages }) => {
      const parsed = parsed1(bytes);
      const index = indexOf(parsed, random, ({ number }) => singularMessages.includes(number));
      if (index === undefined) return undefined;
      const twice = [...parsed];
      twice.splice(
        random.below(parsed.length + 1),
        0,
        random.chance(0.5) ? parsed[index]! : { ...parsed[index]!, value: Buffer.alloc(0) },
      );
      return fields.joinFields(twice);
    },
  },
  {
    name: "a field twice",
    apply: (bytes, random) => {
      const parsed = parsed1(bytes);
      if (parsed.length === 0) return undefined;
      return fields.joinFields([...parsed, random.pick(parsed)]);
    },
  },
  {
    name: "fields in another order",
    apply: (bytes, random) => {
      const parsed = [...parsed1(bytes)];
      for (let at = parsed.length - 1; at > 0; at--) {
        const other = random.below(at + 1);
        [parsed[at], parsed[other]] = [parsed[other]!, parsed[at]!];
      }
      return fields.joinFields(parsed);
    },
  },
  {
    name: "an unknown field",
    apply: (bytes, random) => {
      const number = random.pick([9, 15, 16, 31, 32, 33, 1000, 19_000, 2 ** 29 - 1]);
      const type = random.pick([fields.VARINT, fields.FIXED_64, fields.LENGTH_DELIMITED, fields.FIXED_32]);
      const value = [
        fields.varint(random.u32()),
        random.bytes(8),
        random.bytes(random.below(200)),
        undefined,
        undefined,
        random.bytes(4),
      ][type]!;
      return insert(bytes, random, fields.fieldBytes({ number, type, value }));
    },
  },
  {
    name: "a group",
    isRefused: true,
    apply: (bytes, random) => {
      const number = random.pick([1, 2, 15, 100]);
      const group = [
        fields.varint(number * 8 + fields.START_GROUP),
        fields.varint(number * 8 + fields.END_GROUP),
      ];
      return insert(bytes, random, Buffer.concat(random.chance(0.7) ? group : [random.pick(group)]));
    },
  },
  {
    name: "groups in groups",
    isRefused: true,
    apply: (bytes, random) => {
      const depth = random.between(10, 20_000);
      return insert(bytes, random, Buffer.concat([Buffer.alloc(depth, 0x0b), Buffer.alloc(depth, 0x0c)]));
    },
  },
  {
    name: "messages in messages",
    apply: (bytes, random, { singularMessages }) => {
      let nested: Buffer = Buffer.alloc(0);
      const number = random.pick([...singularMessages, 2, 7, 1000]);
      for (let depth = random.between(10, 400); depth > 0; depth--) {
        nested = fields.fieldBytes({
          number: random.chance(0.5) ? 7 : number,
          type: fields.LENGTH_DELIMITED,
          value: nested,
        });
      }
      return insert(
        bytes,
        random,
        fields.fieldBytes({ number, type: fields.LENGTH_DELIMITED, value: nested }),
      );
    },
  },
  {
    name: "a text that is not UTF-8",
    isRefused: true,
    apply: (bytes, random, { texts }) => {
      const parsed = parsed1(bytes);
      const index = indexOf(
        parsed,
        random,
        ({ number, value }) => texts.includes(number) && value.length > 0,
      );
      if (index === undefined) return undefined;
      const { number, value } = parsed[index]!;
      const at = random.below(2) * value.length;
      const wrong = Buffer.concat([value.subarray(0, at), random.pick(INVALID_UTF8), value.subarray(at)]);
      return around(
        parsed,
        index,
        fields.fieldBytes({ number, type: fields.LENGTH_DELIMITED, value: wrong }),
      );
    },
  },
  {
    name: "a number of ten or eleven bytes",
    apply: (bytes, random) => {
      const huge = Buffer.alloc(random.pick([10, 11, 20]), 0xff);
      huge[huge.length - 1] = random.pick([0x01, 0x7f]);
      return insert(bytes, random, Buffer.concat([fields.varint(random.between(1, 9) * 8), huge]));
    },
  },
  {
    name: "a value that the enum does not have",
    apply: (bytes, random) => {
      const value = fields.varint(random.pick([3n, 77n, 2n ** 31n, 2n ** 32n + 1n, 2n ** 64n - 1n]));
      return insert(bytes, random, fields.fieldBytes({ number: 3, type: fields.VARINT, value }));
    },
  },
  {
    name: "another wire type",
    apply: (bytes, random) => {
      const parsed = parsed1(bytes);
      if (parsed.length === 0) return undefined;
      const index = random.below(parsed.length);
      const { number, value } = parsed[index]!;
      return around(parsed, index, Buffer.concat([fields.varint(number * 8 + random.below(8)), value]));
    },
  },
  {
    name: "field number zero",
    isRefused: true,
    apply: (bytes, random) =>
      insert(
        bytes,
        random,
        fields.fieldBytes({ number: 0, type: random.pick([0, 2]), value: Buffer.alloc(1) }),
      ),
  },
  {
    name: "a batch that is too large",
    isRefused: true,
    apply: (bytes, random, { batchField }) => {
      const parsed = parsed1(bytes);
      const one = parsed.find(({ number }) => number === batchField);
      if (one === undefined || one.value.length > 2000) return undefined;
      return fields.joinFields([...parsed, ...Array(random.between(501, 1500)).fill(one)]);
    },
  },
  {
    name: "an ID many times",
    apply: (bytes, random, { batchField }) => {
      const parsed = parsed1(bytes);
      const one = parsed.find(({ number }) => number === batchField);
      if (one === undefined || one.value.length > 2000) return undefined;
      return fields.joinFields([...parsed, ...Array(random.between(1, 300)).fill(one)]);
    },
  },
  {
    name: "an epoch of another length",
    isRefused: true,
    apply: (bytes, random, { positionField }) => {
      const epoch = random.bytes(random.pick([0, 1, 15, 17, 1000]));
      return withPosition(bytes, positionField, epoch, random.u32());
    },
  },
  {
    name: "another epoch",
    apply: (bytes, random, { positionField }) =>
      withPosition(bytes, positionField, random.bytes(16), random.u32()),
  },
  {
    name: "a position far ahead",
    apply: (bytes, random, { positionField }) => {
      const parsed = parsed1(bytes);
      const position = parsed.find(({ number }) => number === positionField);
      if (position === undefined) return undefined;
      const epoch = fields.parseFields(position.value)?.find(({ number }) => number === 1)?.value;
      const sequence = random.pick([2n ** 31n, 2n ** 53n + 1n, 2n ** 63n, 2n ** 64n - 1n]);
      return epoch && withPosition(bytes, positionField, epoch, sequence);
    },
  },
  {
    name: "a name that is empty or too long",
    isRefused: true,
    apply: (bytes, random, { singularMessages, texts }) => {
      // GetEventsStream has its name inside; other services have none.
      if (!texts.includes(1) || (singularMessages.length === 0 && parsed1(bytes).length < 2))
        return undefined;
      const value = Buffer.alloc(random.pick([0, 256, 5000, 60_000]), "a");
      return fields.joinFields([...parsed1(bytes), { number: 1, type: fields.LENGTH_DELIMITED, value }]);
    },
  },
  { name: "itself twice", apply: (bytes) => Buffer.concat([bytes, bytes]) },
  {
    name: "a nested message changed",
    apply: (bytes, random, method) => {
      const parsed = parsed1(bytes);
      const index = indexOf(
        parsed,
        random,
        ({ type, value }) => type === 2 && (fields.parseFields(value)?.length ?? 0) > 0,
      );
      if (index === undefined) return undefined;
      const { number, value } = parsed[index]!;
      const inner = mutateMessage(value, random, { ...method, singularMessages: [], texts: [1, 2, 3] }).bytes;
      return around(
        parsed,
        index,
        fields.fieldBytes({ number, type: fields.LENGTH_DELIMITED, value: inner }),
      );
    },
  },
];

function parsed1(bytes: Buffer): readonly fields.Field[] {
  return fields.parseFields(bytes) ?? [];
}

function indexOf(
  parsed: readonly fields.Field[],
  random: Random,
  matches: (field: fields.Field) => boolean,
): number | undefined {
  const indexes = [...parsed.keys()].filter((index) => matches(parsed[index]!));
  return indexes.length === 0 ? undefined : random.pick(indexes);
}

/** The fields with other bytes in place of one of them. */
function around(parsed: readonly fields.Field[], index: number, bytes: Buffer): Buffer {
  return Buffer.concat([
    fields.joinFields(parsed.slice(0, index)),
    bytes,
    fields.joinFields(parsed.slice(index + 1)),
  ]);
}

/** Puts bytes between two fields. */
function insert(bytes: Buffer, random: Random, inserted: Buffer): Buffer {
  const parsed = parsed1(bytes);
  const before = random.below(parsed.length + 1);
  return Buffer.concat([
    fields.joinFields(parsed.slice(0, before)),
    inserted,
    fields.joinFields(parsed.slice(before)),
  ]);
}

function withPosition(
  bytes: Buffer,
  positionField: number | undefined,
  epoch: Buffer,
  sequence: number | bigint,
): Buffer | undefined {
  if (positionField === undefined) return undefined;
  const value = fields.joinFields([
    { number: 1, type: fields.LENGTH_DELIMITED, value: epoch },
    { number: 2, type: fields.VARINT, value: fields.varint(sequence) },
  ]);
  const others = parsed1(bytes).filter(({ number }) => number !== positionField);
  return fields.joinFields([...others, { number: positionField, type: fields.LENGTH_DELIMITED, value }]);
}
