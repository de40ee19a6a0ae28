import { createHash } from "node:crypto";
import type { Epoch } from "../../../core/model/types.js";

/** The longest list of changes that is sent; PostgreSQL takes less than 8,000 bytes in all. */
const CHANGES_BYTES_MAX = 6900;
const MAC_BYTES = 16;

/**
 * The changes of a transaction as its notification carries them, where they are few, so that
 * the members need not read them. Undefined: they are to be read.
 */
export function encodeChanges(changes: readonly Buffer[]): string | undefined {
  const bytes = changes.reduce((sum, change) => sum + Math.ceil(change.length / 3) * 4 + 1, 0);
  return bytes > CHANGES_BYTES_MAX ? undefined : changes.map((change) => change.toString("base64")).join(" ");
}

/**
 * SQL that puts a code after a text: every role of the database may send notifications, but
 * only roles that may read the tables know the key. Null stays null.
 */
export function signedSql(text: string, key: string): string {
  const bytes = `pg_catalog.convert_to(${text}, 'UTF8')`;
  const hash = `pg_catalog.sha256(${key} || pg_catalog.sha256(${key} || ${bytes}))`;
  return `${text} || ' ' || pg_catalog.encode(pg_catalog.substr(${hash}, 1, ${MAC_BYTES}), 'hex')`;
}

/** What `signedSql` makes. */
export function sign(text: string, key: Buffer): string {
  const inner = createHash("sha256").update(key).update(text, "utf8").digest();
  const hash = createHash("sha256").update(key).update(inner).digest();
  return `${text} ${hash.toString("hex", 0, MAC_BYTES)}`;
}

export interface Notification {
  /** The bytes of the homeserver's name, in hexadecimal digits. */
  readonly homeserver: string;
  /** Undefined: something may have changed, and is to be read. */
  readonly changes: NotifiedChanges | undefined;
}

export interface NotifiedChanges {
  readonly epoch: Epoch;
  /** The sequence number of the first change. */
  readonly first: number;
  readonly changes: readonly Buffer[];
}

/** Reads `homeserver`, or `homeserver epoch first change… code`. What is not signed is no more than a hint to read. */
export function parseNotification(payload: string, key: Buffer): Notification {
  const end = payload.lastIndexOf(" ");
  const [homeserver = "", epoch, first, ...changes] = payload.slice(0, Math.max(0, end)).split(" ");
  if (end < 0) return { homeserver: payload, changes: undefined };
  if (changes.length === 0 || sign(payload.slice(0, end), key) !== payload) {
    return { homeserver, changes: undefined };
  }
  return {
    homeserver,
    changes: {
      epoch: epoch as Epoch,
      first: Number(first),
      changes: changes.map((text) => Buffer.from(text, "base64")),
    },
  };
}
