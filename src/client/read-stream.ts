import type { ClientDuplexStream } from "@grpc/grpc-js";
import type {
  GetEventsRequest,
  GetEventsResponse,
  GetEventsStreamRequest,
  GetEventsStreamResponse,
} from "../gen/splitcache/v1/event_cache_service.js";
import { errorOf, SplitCacheError, statusError } from "./errors.js";
import { READS_IN_FLIGHT_MAX } from "./limits.js";

type Stream = ClientDuplexStream<GetEventsStreamRequest, GetEventsStreamResponse>;

interface Sent {
  readonly sentAt: number;
  readonly resolve: (response: GetEventsResponse) => void;
  readonly reject: (error: SplitCacheError) => void;
}

/**
 * One stream of GetEvents. It is opened with the first request, and again after it broke. A request that the
 * stream does not answer in time breaks it: the peer may be frozen, or the connection half open.
 */
export class ReadStream {
  readonly #open: () => Stream;
  readonly #timeoutMs: number;
  readonly #onRoom: () => void;
  readonly #sent = new Map<bigint, Sent>();
  #stream: Stream | undefined;
  #isFull = false;
  #isClosed = false;
  #lastId = 0n;
  #watch: NodeJS.Timeout | undefined;
  opened = 0;

  /** `onRoom` is called when `hasRoom` may have become true. */
  constructor(open: () => Stream, timeoutMs: number, onRoom: () => void) {
    this.#open = open;
    this.#timeoutMs = timeoutMs;
    this.#onRoom = onRoom;
  }

  /** Whether a further request would be sent now. Otherwise requests are better joined. */
  get hasRoom(): boolean {
    return !this.#isFull && this.#sent.size < READS_IN_FLIGHT_MAX;
  }

  /** Sends one request. Rejects with a SplitCacheError. */
  read(request: GetEventsRequest): Promise<GetEventsResponse> {
    return new Promise((resolve, reject) => {
      if (this.#isClosed) return reject(new SplitCacheError("CLOSED", "the client was closed"));
      const stream = this.#stream ?? this.#begin();
      this.#lastId += 1n;
      this.#sent.set(this.#lastId, { sentAt: performance.now(), resolve, reject });
      this.#watch ??= setTimeout(() => this.#checkAnswered(), this.#timeoutMs);
      this.#isFull = !stream.write({ requestId: this.#lastId, request });
    });
  }

  /** Ends the stream; what has no reply yet rejects. */
  close(): void {
    this.#isClosed = true;
    this.#break(new SplitCacheError("CLOSED", "the client was closed"));
  }

  #begin(): Stream {
    const stream = this.#open();
    this.#stream = stream;
    this.opened += 1;
    const isCurrent = () => this.#stream === stream;
    stream.on("data", (response: GetEventsStreamResponse) => {
      if (isCurrent()) this.#answered(response);
    });
    stream.on("drain", () => {
      if (!isCurrent()) return;
      this.#isFull = false;
      this.#onRoom();
    });
    // The event is always listened for: a stream that was replaced ends with an error as well.
    stream.on("error", (failure: unknown) => {
      if (isCurrent()) this.#break(errorOf(failure));
    });
    stream.on("end", () => {
      if (isCurrent())
        this.#break(new SplitCacheError("UNAVAILABLE", "the stream ended", { retryAfterMs: 0 }));
    });
    return stream;
  }

  #answered({ requestId, result }: GetEventsStreamResponse): void {
    const sent = this.#sent.get(requestId);
    if (sent === undefined) return;
    this.#sent.delete(requestId);
    if (result?.$case === "response") sent.resolve(result.value);
    else if (result?.$case === "failure")
      sent.reject(statusError(result.value.code, result.value.message, result.value.details));
    else sent.reject(new SplitCacheError("BROKEN_STREAM", "a reply of the sidecar has no result"));
    this.#onRoom();
  }

  #checkAnswered(): void {
    this.#watch = undefined;
    // Requests are sent in this order.
    const [oldest] = this.#sent.values();
    if (oldest === undefined) return;
    const leftMs = oldest.sentAt + this.#timeoutMs - performance.now();
    if (leftMs > 0) this.#watch = setTimeout(() => this.#checkAnswered(), leftMs);
    else this.#break(new SplitCacheError("DEADLINE_EXCEEDED", "the sidecar did not answer in time"));
  }

  #break(error: SplitCacheError): void {
    const stream = this.#stream;
    this.#stream = undefined;
    this.#isFull = false;
    clearTimeout(this.#watch);
    this.#watch = undefined;
    stream?.cancel();
    const unanswered = [...this.#sent.values()];
    this.#sent.clear();
    for (const { reject } of unanswered) reject(error);
    this.#onRoom();
  }
}
