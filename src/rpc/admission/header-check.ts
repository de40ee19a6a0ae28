import type { IncomingHttpHeaders } from "node:http2";
import { Metadata, type StatusObject, status } from "@grpc/grpc-js";
import { malformed } from "../calls/refusals.js";
import { toStatus } from "../status.js";

/** The only accepted encoding of requests, and the encoding of all replies. */
export const IDENTITY = "identity";

/**
 * Returns the reason to refuse a call at its headers, before its request is read:
 *
 * - A compressed request can inflate to a thousand times its size, and grpc-js
 *   inflates it before its size can be checked. The status is the protocol's: it
 *   lists the accepted encodings.
 * - grpc-js answers INTERNAL to a malformed timeout, but the client caused it.
 */
export function headerRefusal(headers: IncomingHttpHeaders): StatusObject | undefined {
  const encoding = headers["grpc-encoding"];
  if (encoding !== undefined && encoding !== IDENTITY) {
    const metadata = new Metadata();
    metadata.set("grpc-accept-encoding", IDENTITY);
    return { code: status.UNIMPLEMENTED, details: "grpc-encoding must be identity", metadata };
  }
  const timeout = headers["grpc-timeout"];
  if (timeout === undefined || isTimeout(timeout)) return undefined;
  return toStatus(malformed("grpc-timeout", "must be at most eight digits and a unit: H, M, S, m, u or n"));
}

/**
 * The timeout for grpc-js in place of a timeout that is longer than a timer can run: grpc-js
 * counts milliseconds in 32 bits, and would treat such a deadline as passed.
 */
export function boundedTimeout(headers: IncomingHttpHeaders): string | undefined {
  const timeout = headers["grpc-timeout"];
  if (typeof timeout !== "string" || !isTimeout(timeout)) return undefined;
  const seconds = Number.parseInt(timeout, 10) * (UNIT_SECONDS[timeout.at(-1) ?? ""] ?? 0);
  return seconds > TIMER_SECONDS_MAX ? `${TIMER_SECONDS_MAX}S` : undefined;
}

function isTimeout(value: string | string[]): boolean {
  return typeof value === "string" && /^\d{1,8}[HMSmun]$/.test(value);
}

/** Other units stay below the bound with eight digits. */
const UNIT_SECONDS: Readonly<Record<string, number>> = { H: 3600, M: 60, S: 1 };
/** 2^31 ms, rounded down. */
const TIMER_SECONDS_MAX = 2_147_483;
