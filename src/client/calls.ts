import { type ClientUnaryCall, Metadata, type MethodDefinition, type ServiceError } from "@grpc/grpc-js";
import type { EventCacheServiceClient } from "../gen/splitcache/v1/event_cache_service.js";
import { errorOf, SplitCacheError } from "./errors.js";
import { type CallOptions, checkTimeout } from "./options.js";
import { abortReason, onAbort, pause } from "./signals.js";
import type { StartSpan } from "./telemetry.js";

/** The part of a generated method definition that a call uses. */
export type Method<Request, Response> = Pick<
  MethodDefinition<Request, Response>,
  "path" | "requestSerialize" | "responseDeserialize"
>;

const PAUSE_MS_MAX = 400;

/** Makes single calls, with a deadline, and repeats where the contract permits it. */
export class Calls {
  readonly #client: EventCacheServiceClient;
  readonly #timeoutMs: number;
  readonly #startSpan: StartSpan;

  constructor(client: EventCacheServiceClient, timeoutMs: number, startSpan: StartSpan) {
    this.#client = client;
    this.#timeoutMs = timeoutMs;
    this.#startSpan = startSpan;
  }

  /** Rejects with a SplitCacheError, or with the signal's reason. */
  async call<Request, Response>(
    method: Method<Request, Response>,
    request: Request,
    options: CallOptions & { readonly repeats?: boolean } = {},
  ): Promise<Response> {
    const { signal, repeats = true } = options;
    const endsAt = Date.now() + checkTimeout(options.timeoutMs ?? this.#timeoutMs);
    const span = this.#startSpan(`splitcache.${method.path.split("/").at(-1)}`);
    for (let attempt = 1; ; attempt += 1) {
      try {
        const response = await this.#once(method, request, endsAt, span.inject, signal);
        span.end({ "splitcache.attempts": attempt });
        return response;
      } catch (failure) {
        const error = signal?.aborted ? undefined : errorOf(failure);
        const waitMs = error && pauseBefore(error, attempt);
        if (error === undefined || waitMs === undefined || !repeats || Date.now() + waitMs >= endsAt) {
          span.end({ "splitcache.attempts": attempt }, error);
          throw error ?? abortReason(signal!);
        }
        await pause(waitMs, signal);
      }
    }
  }

  #once<Request, Response>(
    method: Method<Request, Response>,
    request: Request,
    deadline: number,
    inject: (metadata: Metadata) => void,
    signal: AbortSignal | undefined,
  ): Promise<Response> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(new SplitCacheError("CANCELLED", "aborted before the call"));
      const metadata = new Metadata();
      inject(metadata);
      let running: ClientUnaryCall | undefined;
      const forget = onAbort(signal, () => running?.cancel());
      running = this.#client.makeUnaryRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        request,
        metadata,
        { deadline },
        (error: ServiceError | null, response?: Response) => {
          forget();
          if (response === undefined) reject(error ?? new SplitCacheError("INTERNAL", "a reply is absent"));
          else resolve(response);
        },
      );
    });
  }
}

/** How long to wait before a repeat, with jitter; undefined: do not repeat. */
export function pauseBefore({ retryAfterMs }: SplitCacheError, attempt: number): number | undefined {
  if (retryAfterMs === undefined) return undefined;
  return (
    Math.max(retryAfterMs, Math.min(PAUSE_MS_MAX, retryAfterMs * 2 ** (attempt - 1))) *
    (1 + Math.random() / 4)
  );
}
