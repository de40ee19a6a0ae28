import { around, fieldsOf, indexOf, insert, type Mutation } from "./message-mutation.js";
import * as fields from "./wire-fields.js";

const INVALID_UTF8 = ["ff", "c328", "c0af", "eda080", "f4908080", "e282", "80"].map((hex) =>
  Buffer.from(hex, "hex"),
);

/** Faults in what the fields of a message hold. */
export const MUTATIONS_OF_VALUES: readonly Mutation[] = [
  {
    name: "a text that is not UTF-8",
    isRefused: true,
    apply: (bytes, random, { texts }) => {
      const parsed = fieldsOf(bytes);
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
      const parsed = fieldsOf(bytes);
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
      const parsed = fieldsOf(bytes);
      const one = parsed.find(({ number }) => number === batchField);
      if (one === undefined || one.value.length > 2000) return undefined;
      return fields.joinFields([...parsed, ...Array(random.between(501, 1500)).fill(one)]);
    },
  },
  {
    name: "an ID many times",
    apply: (bytes, random, { batchField }) => {
      const parsed = fieldsOf(bytes);
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
      const parsed = fieldsOf(bytes);
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
      if (!texts.includes(1) || (singularMessages.length === 0 && fieldsOf(bytes).length < 2))
        return undefined;
      const value = Buffer.alloc(random.pick([0, 256, 5000, 60_000]), "a");
      return fields.joinFields([...fieldsOf(bytes), { number: 1, type: fields.LENGTH_DELIMITED, value }]);
    },
  },
  { name: "itself twice", apply: (bytes) => Buffer.concat([bytes, bytes]) },
];

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
  const others = fieldsOf(bytes).filter(({ number }) => number !== positionField);
  return fields.joinFields([...others, { number: positionField, type: fields.LENGTH_DELIMITED, value }]);
}
