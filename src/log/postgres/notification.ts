import type { Epoch } from "../../core/types.js";

/** The longest payload that is sent; PostgreSQL takes less than 8,000 bytes. */
const PAYLOAD_BYTES_MAX = 7000;

/**
 * The end of the notification of a transaction: its changes, where they are few, so that
 * the members need not read them. The server puts homeserver, epoch and the first sequence
 * number before it. Undefined: the members are to read.
 */
export function encodeChanges(changes: readonly Buffer[]): string | undefined {
  const bytes = changes.reduce((sum, change) => sum + Math.ceil(change.length / 3) * 4 + 1, 0);
  return bytes > PAYLOAD_BYTES_MAX ? undefined : changes.map((change) => change.toString("base64")).join(" ");
}

/** SQL that makes the payload; `changes` is what `encodeChanges` made, or null. */
export function payloadSql(homeserver: string, epoch: string, first: string, changes: string): string {
  return `pg_catalog.encode(${homeserver}, 'hex') || coalesce(
    ' ' || pg_catalog.encode(${epoch}, 'hex') || ' ' || ${first} || ' ' || ${changes}, '')`;
}

export interface Notification {
  /** The bytes of the homeserver's name, in hexadecimal digits. */
  readonly homeserver: string;
  /** Undefined: something changed, and is to be read. */
  readonly changes: NotifiedChanges | undefined;
}

export interface NotifiedChanges {
  readonly epoch: Epoch;
  /** The sequence number of the first change. */
  readonly first: number;
  readonly changes: readonly Buffer[];
}

export function parseNotification(payload: string): Notification {
  const [homeserver = "", epoch, first, ...changes] = payload.split(" ");
  if (changes.length === 0) return { homeserver, changes: undefined };
  return {
    homeserver,
    changes: {
      epoch: epoch as Epoch,
      first: Number(first),
      changes: changes.map((text) => Buffer.from(text, "base64")),
    },
  };
}
