import type { ClientDuplexStream, ServiceError } from "@grpc/grpc-js";
import type { SidecarConnection } from "../../src/cli/client/connection.js";
import { CliError, ExitCode } from "../../src/cli/exit-code.js";
import type {
  GetEventsRequest,
  GetEventsResponse,
  GetEventsStreamRequest,
  GetEventsStreamResponse,
} from "../../src/gen/splitcache/v1/event_cache_service.js";

interface Waiting {
  readonly resolve: (response: GetEventsResponse) => void;
  readonly reject: (reason: unknown) => void;
}

/** Sends many reads over one GetEventsStream call. The caller bounds the number in flight. */
export class EventReader {
  readonly #stream: ClientDuplexStream<GetEventsStreamRequest, GetEventsStreamResponse>;
  readonly #waiting = new Map<bigint, Waiting>();
  readonly #ended: Promise<void>;
  readonly #release: () => void;
  #nextId = 1n;
  #failure: unknown;

  constructor(connection: SidecarConnection) {
    const stream = connection.client.getEventsStream();
    this.#release = connection.cancelOnAbort(stream);
    this.#stream = stream;
    stream.on("data", (reply: GetEventsStreamResponse) => this.#settle(reply));
    this.#ended = new Promise((resolve) => {
      stream.on("end", resolve);
      stream.on("error", (error: ServiceError) => {
        this.#failure = error;
        resolve();
      });
    });
    void this.#ended.then(() => this.#rejectAll());
  }

  /** Reads events. Rejects if this request failed or the stream broke. */
  read(request: GetEventsRequest): Promise<GetEventsResponse> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    const requestId = this.#nextId;
    this.#nextId += 1n;
    return new Promise((resolve, reject) => {
      this.#waiting.set(requestId, { resolve, reject });
      this.#stream.write({ requestId, request });
    });
  }

  /** Ends the stream after the requests in flight are answered. */
  async close(): Promise<void> {
    this.#stream.end();
    await this.#ended;
    this.#release();
  }

  /** Ends the stream at once. Requests in flight are rejected. */
  cancel(): void {
    this.#stream.cancel();
    this.#release();
  }

  #settle({ requestId, result }: GetEventsStreamResponse): void {
    const waiting = this.#waiting.get(requestId);
    this.#waiting.delete(requestId);
    if (result?.$case === "response") waiting?.resolve(result.value);
    else
      waiting?.reject(
        new CliError(ExitCode.failure, `a read failed: ${result?.value.message ?? "no result"}`),
      );
  }

  #rejectAll(): void {
    this.#failure ??= new CliError(ExitCode.unavailable, "the sidecar ended the read stream");
    for (const { reject } of this.#waiting.values()) reject(this.#failure);
    this.#waiting.clear();
  }
}
