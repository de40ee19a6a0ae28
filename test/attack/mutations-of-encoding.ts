import { around, fieldsOf, indexOf, insert, type Mutation } from "./message-mutation.js";
import * as fields from "./wire-fields.js";

/** Faults in how a message is encoded: bytes, tags, lengths, and which fields are there. */
export const MUTATIONS_OF_ENCODING: readonly Mutation[] = [
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
      const parsed = fieldsOf(bytes);
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
      const parsed = fieldsOf(bytes);
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
      const parsed = fieldsOf(bytes);
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
      const parsed = fieldsOf(bytes);
      if (parsed.length === 0) return undefined;
      return fields.joinFields([...parsed, random.pick(parsed)]);
    },
  },
  {
    name: "fields in another order",
    apply: (bytes, random) => {
      const parsed = [...fieldsOf(bytes)];
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
];
