import { around, fieldsOf, indexOf, type Mutation } from "./message-mutation.js";
import { MUTATIONS_OF_ENCODING } from "./mutations-of-encoding.js";
import { MUTATIONS_OF_VALUES } from "./mutations-of-values.js";
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

/** Changes a valid message of a method in one way. */
export function mutateMessage(bytes: Buffer, random: Random, method: Method): Mutated {
  for (;;) {
    const { name, isRefused = false, apply } = random.pick(MUTATIONS);
    const mutated = apply(bytes, random, method);
    if (mutated !== undefined) return { bytes: mutated, name, isRefused };
  }
}

const MUTATIONS: readonly Mutation[] = [
  ...MUTATIONS_OF_ENCODING,
  ...MUTATIONS_OF_VALUES,
  {
    name: "a nested message changed",
    apply: (bytes, random, method) => {
      const parsed = fieldsOf(bytes);
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
