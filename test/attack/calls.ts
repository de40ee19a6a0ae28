import { setTimeout as delay } from "node:timers/promises";
import { status } from "@grpc/grpc-js";
import { FRAMINGS, NEVER_ENDED } from "./framings.js";
import type { Homeserver } from "./homeserver.js";
import { type CallEnd, framed, type RawCall } from "./http2/raw-call.js";
import type { RawConnection } from "./http2/raw-connection.js";
import { mutateHeaders, validHeaders } from "./mutate-headers.js";
import { mutateMessage } from "./mutate-message.js";
import type { Random } from "./random.js";
import type { Findings } from "./report.js";
import type { Method } from "./requests.js";

/** What is known of a call while it is under way; a reply is judged by it. */
export interface Sent {
  readonly method: Method;
  readonly homeserver: Homeserver;
  /** What was wrong with it, if anything. */
  readonly kind: string;
  /** What the contract demands. */
  readonly expected: "served" | "refused" | "anything";
  /** The request, for the report of a fault. */
  readonly request: Buffer;
}

/**
 * Statuses that a valid call may end with: the server may be at its capacities, and on a
 * machine that gives it no CPU for five seconds the request arrives too late. Whether it
 * is the server that takes so long is seen at /readyz.
 */
const SERVED: ReadonlySet<number> = new Set([status.OK, status.RESOURCE_EXHAUSTED, status.DEADLINE_EXCEEDED]);
/** Of services whose requests may name what is not there. */
const SERVED_BY_OTHERS: ReadonlySet<number> = new Set([...SERVED, status.NOT_FOUND]);
/** Statuses that are a defect of the server, whatever the client does. */
const DEFECTS: ReadonlySet<number> = new Set([status.INTERNAL, status.UNKNOWN, status.DATA_LOSS]);

/** The resets of a connection's calls may come before the connection is said to end. */
const RESET_BEFORE_GOAWAY_MS = 500;

/** Sends valid and invalid calls, and judges how they end. */
export class Calls {
  readonly #random: Random;
  readonly #findings: Findings;

  constructor(random: Random, findings: Findings) {
    this.#random = random;
    this.#findings = findings;
  }

  /** A call of one request as clients send it. */
  valid(connection: RawConnection, method: Method, homeserver: Homeserver): Promise<CallEnd> {
    const request = method.make(this.#random, homeserver);
    const sent: Sent = { method, homeserver, kind: "valid", expected: "served", request };
    const call = this.#begin(connection, validHeaders(method.path), sent);
    call.data(framed(request), true);
    return this.judge(call, sent);
  }

  /** A call with a fault in its message, its framing, its headers or its end. */
  invalid(connection: RawConnection, method: Method, homeserver: Homeserver): Promise<CallEnd> {
    const draw = this.#random.below(100);
    if (draw < 60) return this.#withMutatedMessage(connection, method, homeserver);
    if (draw < 80) return this.#withOddFraming(connection, method, homeserver);
    if (draw < 95) return this.#withMutatedHeaders(connection, method, homeserver);
    return this.#givenUp(connection, method, homeserver);
  }

  /** Notes how a call ends, and whether it may. */
  async judge(call: RawCall, sent: Sent): Promise<CallEnd> {
    const end = await call.end;
    this.#findings.ended(sent.kind, describe(end));
    // Calls of a connection that the server ends, because of a flood for one, are cut; Worker judges that.
    if (end.status === undefined && !end.isLost) await delay(RESET_BEFORE_GOAWAY_MS);
    const { goawayCode, isGone } = call.connection;
    const isCut = end.isLost || (end.status === undefined && (isGone || goawayCode !== undefined));
    const fault = isCut ? undefined : faultOf(end, sent);
    if (fault !== undefined) this.report(`${fault} (${describe(end)}, ${call.state})`, sent);
    return end;
  }

  report(fault: string, { method, kind, request, homeserver }: Sent): void {
    const hex = request.subarray(0, 200).toString("hex");
    this.#findings.fault(
      `${fault}: ${method.path}, ${kind}, homeserver ${homeserver.name}, request ${request.length} bytes ${hex}`,
    );
  }

  #begin(connection: RawConnection, block: Buffer, sent: Sent): RawCall {
    this.#findings.calls += 1;
    return connection.call(block, { tag: sent });
  }

  #withMutatedMessage(connection: RawConnection, method: Method, homeserver: Homeserver): Promise<CallEnd> {
    const { bytes, name, isRefused } = mutateMessage(
      method.make(this.#random, homeserver),
      this.#random,
      method,
    );
    // Other services' decoders are not ours, and are lenient.
    const sent: Sent = {
      method,
      homeserver,
      kind: name,
      expected: isRefused && isOurs(method) ? "refused" : "anything",
      request: bytes,
    };
    const call = this.#begin(connection, validHeaders(method.path), sent);
    call.data(framed(bytes), true);
    return this.judge(call, sent);
  }

  #withMutatedHeaders(connection: RawConnection, method: Method, homeserver: Homeserver): Promise<CallEnd> {
    const { block, name, isRefused } = mutateHeaders(method.path, this.#random);
    const request = method.make(this.#random, homeserver);
    const sent: Sent = {
      method,
      homeserver,
      kind: name,
      expected: isRefused ? "refused" : "anything",
      request,
    };
    const call = this.#begin(connection, block, sent);
    call.data(framed(request), true);
    return this.judge(call, sent);
  }

  #withOddFraming(connection: RawConnection, method: Method, homeserver: Homeserver): Promise<CallEnd> {
    const request = method.make(this.#random, homeserver);
    const random = this.#random;
    // What is never finished stays in flight: a few at a time are enough.
    const framings = random.chance(0.02) ? NEVER_ENDED : FRAMINGS;
    const { name, isRefused = false, send } = random.pick(framings);
    const sent: Sent = {
      method,
      homeserver,
      kind: name,
      expected: isRefused ? "refused" : "anything",
      request,
    };
    const call = this.#begin(connection, validHeaders(method.path), sent);
    send(call, request, random, connection);
    if (framings === NEVER_ENDED) setTimeout(() => call.reset(8), random.below(8000)).unref();
    return this.judge(call, sent);
  }

  /** A call that the client resets at some point, or never finishes. */
  #givenUp(connection: RawConnection, method: Method, homeserver: Homeserver): Promise<CallEnd> {
    const random = this.#random;
    const request = framed(method.make(random, homeserver));
    const code = random.pick([0, 2, 5, 7, 8, 11]);
    const sent: Sent = { method, homeserver, kind: "given up", expected: "anything", request };
    const call = this.#begin(connection, validHeaders(method.path), sent);
    const sentBytes = random.below(request.length + 1);
    call.data(request.subarray(0, sentBytes), sentBytes === request.length && random.chance(0.8));
    const draw = random.below(3);
    if (draw === 0) call.reset(code);
    else if (draw === 1) setImmediate(() => call.reset(code));
    else setTimeout(() => call.reset(code), random.below(20));
    return this.judge(call, sent);
  }
}

function isOurs({ path }: Method): boolean {
  return path.startsWith("/splitcache.");
}

function describe({ status: code, resetCode, isLost }: CallEnd): string {
  if (isLost) return "connection lost";
  if (code !== undefined) return status[code] ?? `status ${code}`;
  return resetCode === undefined ? "no status" : `reset with ${resetCode}`;
}

function faultOf({ status: code }: CallEnd, { expected, method }: Sent): string | undefined {
  if (code !== undefined && DEFECTS.has(code)) return `ended with ${status[code]}`;
  if (expected === "refused" && code === status.OK) return "was served, but the contract refuses it";
  if (expected !== "served") return undefined;
  if (code === undefined) return "is valid, and ended without a status";
  const served = isOurs(method) ? SERVED : SERVED_BY_OTHERS;
  return served.has(code) ? undefined : `is valid, and ended with ${status[code]}`;
}
