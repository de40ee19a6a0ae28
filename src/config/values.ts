import { z } from "zod";
import { NAME_BYTES_MAX } from "../core/model/limits.js";
import { parseListenAddress, parseTcpAddress, type TcpAddress } from "./address.js";
import { durationKind, parseDuration } from "./duration.js";
import { parseRedisUrl, type RedisAddress } from "./redis-url.js";

/**
 * The kinds of values of options. Each reads the text of a flag, a variable or the file, and
 * describes the valid values if the text is not valid.
 */

const BYTE_UNITS = [
  ["GiB", 2 ** 30],
  ["MiB", 2 ** 20],
  ["KiB", 2 ** 10],
] as const;

/** A whole number from `min` to `max`. */
export function integer(min: number, max: number) {
  return readText(`a whole number from ${min} to ${max}`, (text) =>
    within(/^\d+$/.test(text) ? Number(text) : Number.NaN, min, max),
  );
}

/** A number of bytes, in units of 1,024: `268435456`, `256MiB`, or `256Mi` as Kubernetes writes it. */
export function byteSize(min: number) {
  return readText(
    `a number of bytes, plain or in KiB, MiB or GiB, at least ${formatBytes(min)}; such as 256MiB`,
    (text) => within(bytesOf(text), min, Number.MAX_SAFE_INTEGER),
  );
}

/** A duration in milliseconds, written with its unit: `500ms`, `5s`, `1.5h`. */
export function duration(min: string, max: string) {
  return readText(durationKind(min, max), (text) => parseDuration(text, min, max));
}

/** A file mode of three octal digits, with or without a leading zero. */
export function fileMode() {
  return readText("three octal digits, such as 0660", (text) =>
    /^0?[0-7]{3}$/.test(text) ? Number.parseInt(text, 8) : undefined,
  );
}

/** `true` or `false`. */
export function boolean() {
  return readText("true or false", (text) => ({ true: true, false: false })[text]);
}

/** One of these words. */
export function oneOf<Word extends string>(words: readonly Word[]) {
  return readText(`one of ${words.join(", ")}`, (text) => words.find((word) => word === text));
}

/** The name of a homeserver. */
export function homeserverName() {
  return readText(`a server name of 1 to ${NAME_BYTES_MAX} bytes of UTF-8`, (text) => {
    const bytes = Buffer.byteLength(text);
    // Node.js puts U+FFFD in place of invalid bytes.
    return !text.includes("\uFFFD") && bytes >= 1 && bytes <= NAME_BYTES_MAX ? text : undefined;
  });
}

/** An address to listen on. */
export function listenAddress() {
  return readText("host:port, [ipv6]:port or unix:path (a path of at most 103 bytes)", parseListenAddress);
}

/** A TCP address to listen on. */
export function tcpAddress() {
  return readText("host:port or [ipv6]:port", parseTcpAddress);
}

/** A TCP address to listen on, or `off`. */
export function tcpAddressOrOff() {
  return readText<TcpAddress | "off">("host:port, [ipv6]:port or off", (text) =>
    text === "off" ? "off" : parseTcpAddress(text),
  );
}

/** The place of the logs: `memory` or a PostgreSQL URL, which is parsed later, with the environment. */
export function logUrl() {
  return matching("memory or postgres://user@host:port/database", /^memory$|^postgres(?:ql)?:\/\//);
}

/** The name of a schema. */
export function schemaName() {
  return matching(
    "1 to 63 lower-case letters, digits and underscores, no digit first",
    /^[a-z_][a-z0-9_]{0,62}$/,
  );
}

/** The place of a shared tier, or `none`. */
export function tierUrl() {
  return readText<RedisAddress | "none">(
    "none, redis://host:port/database, redis-sentinel://host:port,…/primary/database or redis-cluster://host:port,… (rediss… for TLS), with distinct hosts and without user and password",
    (text) => (text === "none" ? "none" : parseRedisUrl(text)),
  );
}

/** The prefix of the keys of a tier. */
export function keyPrefix() {
  return matching("1 to 64 letters, digits, dots, dashes and underscores", /^[A-Za-z0-9._-]{1,64}$/);
}

/** The path of a file. */
export function filePath() {
  return matching("a path, not empty", /^[^\0]+$/);
}

/** Bytes in the largest unit that divides them. */
export function formatBytes(bytes: number): string {
  const [unit, size] = BYTE_UNITS.find(([, size]) => bytes >= size && bytes % size === 0) ?? ["B", 1];
  return `${bytes / size}${unit}`;
}

/** A value that `read` reads from text; undefined means that the text is not one of `valid`. */
function readText<Value>(valid: string, read: (text: string) => Value | undefined) {
  return z.string().transform((text, context): Value => {
    const value = read(text);
    if (value === undefined) {
      context.issues.push({ code: "custom", message: `must be ${valid}`, input: text });
      return z.NEVER;
    }
    return value;
  });
}

function matching(valid: string, pattern: RegExp) {
  return readText(valid, (text) => (pattern.test(text) ? text : undefined));
}

function bytesOf(text: string): number {
  const [, digits, prefix = ""] = /^(\d+)(?:([KMG])iB?|B)?$/.exec(text) ?? [];
  const [, size] = BYTE_UNITS.find(([unit]) => unit === `${prefix}iB`) ?? ["B", 1];
  return Number(digits) * size;
}

function within(value: number, min: number, max: number): number | undefined {
  return value >= min && value <= max ? value : undefined;
}
