import { ID_BYTES_MAX, NAME_BYTES_MAX, TIMEOUT_MS_DEFAULT, TIMEOUT_MS_MAX } from "./limits.js";
import type { OutboxOptions } from "./outbox/outbox.js";
import type { Attributes } from "./telemetry.js";

/** How to reach a sidecar, and what to keep of its replies. */
export interface ConnectOptions {
  /** `host:port` or `unix:path`. */
  readonly address: string;
  /** The homeserver that reads and writes. */
  readonly homeserver: string;
  /** `true` trusts the authorities that Node.js trusts. Without it: cleartext. */
  readonly tls?: boolean | TlsOptions | undefined;
  /** The token, or a function that is called for each call, so that a token may be replaced. */
  readonly token?: string | (() => string) | undefined;
  /** Keeps events in this process. Without it every lookup asks the sidecar. */
  readonly nearCache?: { readonly maxBytes: number } | undefined;
  /** Follows the outbox in the homeserver's database. Required of a process that changes events. */
  readonly outbox?: OutboxOptions | undefined;
  /** How long a call may take, its repeats included. Defaults to 1 s. */
  readonly timeoutMs?: number | undefined;
  /** This client's name in the sidecar's logs. */
  readonly subscriber?: string | undefined;
  /** Is given what an operator must know, such as two logs. Nothing by default. */
  readonly onWarning?: ((message: string) => void) | undefined;
  /** Attributes of every span. */
  readonly attributes?: Attributes | undefined;
}

/** The texts of PEM files. */
export interface TlsOptions {
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  /** The name that the certificate must have, in place of the address's host. */
  readonly serverName?: string | undefined;
}

/** Options of one call. */
export interface CallOptions {
  /** Ends the call; it rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** How long it may take, its repeats included. Defaults to the connection's. */
  readonly timeoutMs?: number | undefined;
}

const MIB = 1024 * 1024;

/** Throws a RangeError or TypeError that names the option. */
export function checkConnectOptions(options: ConnectOptions): void {
  checkText("address", options.address, NAME_BYTES_MAX * 4);
  checkText("homeserver", options.homeserver, NAME_BYTES_MAX);
  if (options.subscriber !== undefined) checkText("subscriber", options.subscriber, NAME_BYTES_MAX);
  checkTimeout(options.timeoutMs ?? TIMEOUT_MS_DEFAULT);
  const maxBytes = options.nearCache?.maxBytes ?? MIB;
  if (!Number.isSafeInteger(maxBytes) || maxBytes < MIB)
    throw new RangeError(`nearCache.maxBytes: must be an integer of at least ${MIB}, is ${maxBytes}`);
  if (options.token !== undefined && !options.tls && !isLocal(options.address))
    throw new TypeError(`token: it would cross the network to ${options.address} in cleartext; use tls`);
}

export function checkTimeout(timeoutMs: number): number {
  if (timeoutMs > 0 && timeoutMs <= TIMEOUT_MS_MAX) return timeoutMs;
  throw new RangeError(`timeoutMs: must be above 0 and at most ${TIMEOUT_MS_MAX}, is ${timeoutMs}`);
}

/**
 * Checks IDs before they share a request with IDs of other callers: an invalid ID would fail all of them.
 */
export function checkIds(ids: readonly string[]): void {
  for (let index = 0; index < ids.length; index += 1) checkText(`ids[${index}]`, ids[index], ID_BYTES_MAX);
}

function checkText(name: string, text: unknown, bytesMax: number): asserts text is string {
  if (typeof text !== "string") throw new TypeError(`${name}: must be a string`);
  const bytes = text.length > bytesMax ? text.length : Buffer.byteLength(text);
  if (bytes < 1 || bytes > bytesMax)
    throw new RangeError(`${name}: must have 1 to ${bytesMax} bytes, has ${bytes}`);
  if (LONE_SURROGATE.test(text))
    throw new TypeError(`${name}: is not valid Unicode: it has a lone surrogate`);
}

const LONE_SURROGATE = /\p{Surrogate}/u;

function isLocal(address: string): boolean {
  return /^(unix:|localhost:\d+$|127\.\d+\.\d+\.\d+:\d+$|\[::1\]:\d+$)/.test(address);
}
