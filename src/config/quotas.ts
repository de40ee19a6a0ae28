import { z } from "zod";
import { NAME_BYTES_MAX, REPLY_BYTES_MAX, REQUEST_BYTES_MAX } from "../core/model/limits.js";
import { EVERY_HOMESERVER, type Quota, type QuotaSetting } from "../core/model/quotas.js";
import { byteSize, formatBytes, integer } from "./values.js";

const MIB = 1024 * 1024;
const COUNT_MAX = 100_000;

/** The limits by the names that they have in the configuration: the names of the options for all homeservers. */
const LIMITS = {
  "memory-min": { limit: "memoryMin", value: byteSize(MIB) },
  "memory-max": { limit: "memoryMax", value: byteSize(MIB) },
  "calls-in-flight-max": { limit: "callsInFlightMax", value: integer(1, COUNT_MAX) },
  "bytes-in-flight-max": { limit: "bytesInFlightMax", value: byteSize(REQUEST_BYTES_MAX + REPLY_BYTES_MAX) },
  "subscribers-max": { limit: "subscribersMax", value: integer(1, COUNT_MAX) },
  "read-streams-max": { limit: "readStreamsMax", value: integer(1, COUNT_MAX) },
  "changes-per-second": { limit: "changesPerSecond", value: integer(1, 1_000_000) },
} as const satisfies Record<string, { limit: keyof Quota; value: z.ZodType<number, string> }>;

type LimitName = keyof typeof LIMITS;

const FORM = `NAME:limit=value, with a homeserver or ${EVERY_HOMESERVER} as NAME and one of ${Object.keys(LIMITS).join(", ")}`;

/** One limit of a homeserver: `example.org:subscribers-max=100`. */
export function quotaSetting() {
  return z.string().transform((text, context): QuotaSetting => {
    const refuse = (message: string): never => {
      context.issues.push({ code: "custom", message, input: text });
      return z.NEVER;
    };
    // A server name may have a port: the last colon before the limit ends it.
    const [, homeserver = "", name = "", value = ""] = /^(.+):([a-z-]+)=(.*)$/s.exec(text) ?? [];
    const limit = LIMITS[name as LimitName];
    if (limit === undefined || homeserver.includes("\uFFFD")) return refuse(`must be ${FORM}`);
    if (Buffer.byteLength(homeserver) > NAME_BYTES_MAX) {
      return refuse(`must name a homeserver of at most ${NAME_BYTES_MAX} bytes`);
    }
    const read = limit.value.safeParse(value);
    if (!read.success) return refuse(`: ${name} ${read.error.issues[0]?.message ?? "is invalid"}`);
    return { homeserver, limit: limit.limit, value: read.data };
  });
}

/** What the quotas are compared with; undefined where it is not valid itself. */
export interface QuotaBounds {
  readonly quotas?: readonly QuotaSetting[] | undefined;
  readonly homeservers?: readonly string[] | undefined;
  readonly memoryBytes?: number | undefined;
  readonly callsInFlightMax?: number | undefined;
  readonly bytesInFlightMax?: number | undefined;
  readonly subscribersMax?: number | undefined;
  readonly readStreamsMax?: number | undefined;
}

/** The problems of quotas that are valid one by one. */
export function quotaProblems({ quotas = [], ...bounds }: QuotaBounds): string[] {
  const problems: string[] = [];
  const seen = new Map<string, number>();
  for (const { homeserver, limit, value } of quotas) {
    const name = nameOf(limit);
    const shown = `${homeserver}:${name}`;
    const key = `${homeserver}\n${limit}`;
    if (seen.has(key)) problems.push(`${shown} is given twice`);
    seen.set(key, value);
    if (homeserver === EVERY_HOMESERVER) {
      if (limit === "memoryMin") {
        problems.push(`${shown} has no effect: the others share what is not protected equally`);
      }
    } else if (bounds.homeservers !== undefined && bounds.homeservers.length > 0) {
      if (!bounds.homeservers.includes(homeserver)) {
        problems.push(`${shown} names a homeserver that is not among --homeserver`);
      }
    }
    const most = limit === "memoryMax" || limit === "memoryMin" ? bounds.memoryBytes : totalOf(bounds, limit);
    if (most !== undefined && value > most) {
      const option = limit.startsWith("memory") ? "memory" : name;
      problems.push(
        `${shown} is ${format(limit, value)}, more than --${option}, which is ${format(limit, most)}`,
      );
    }
  }
  for (const { homeserver, limit, value } of quotas) {
    if (limit !== "memoryMin") continue;
    const max = seen.get(`${homeserver}\nmemoryMax`) ?? seen.get(`${EVERY_HOMESERVER}\nmemoryMax`);
    if (max !== undefined && value > max) {
      problems.push(
        `${homeserver}:memory-min is ${formatBytes(value)}, more than its memory-max, ${formatBytes(max)}`,
      );
    }
  }
  const promised = quotas.reduce((sum, { limit, value }) => sum + (limit === "memoryMin" ? value : 0), 0);
  if (bounds.memoryBytes !== undefined && promised > bounds.memoryBytes) {
    problems.push(
      `memory-min of all homeservers is ${formatBytes(promised)} in total, more than --memory, which is ${formatBytes(bounds.memoryBytes)}`,
    );
  }
  return problems;
}

function totalOf(bounds: QuotaBounds, limit: keyof Quota): number | undefined {
  switch (limit) {
    case "callsInFlightMax":
    case "bytesInFlightMax":
    case "subscribersMax":
    case "readStreamsMax":
      return bounds[limit];
    default:
      return undefined;
  }
}

function nameOf(limit: keyof Quota): string {
  return Object.entries(LIMITS).find(([, { limit: its }]) => its === limit)?.[0] ?? limit;
}

function format(limit: keyof Quota, value: number): string {
  return limit === "bytesInFlightMax" || limit.startsWith("memory") ? formatBytes(value) : String(value);
}
