import type { handleBidiStreamingCall, ServerDuplexStream } from "@grpc/grpc-js";
import type { Principal } from "../../auth/principal.js";
import { CacheError } from "../../core/model/errors.js";
import type { EventStore, ReadRequest } from "../../core/model/store.js";
import * as wire from "../../gen/splitcache/v1/event_cache_service.js";
import type { Holder } from "../admission/capacity.js";
import { connectionOf, principalOf } from "../admission/connection.js";
import type { Drain } from "../admission/drain.js";
import type { Access } from "../admission/gate.js";
import type { InFlight, InFlightTicket } from "../admission/in-flight.js";
import type { CallObserver } from "../calls/call-observer.js";
import { type CallTrace, traceOf } from "../calls/call-trace.js";
import { denied, draining } from "../calls/refusals.js";
import { beginStreamRequest } from "../calls/stream-request.js";
import { readFacts, requestFacts } from "../calls/trace-facts.js";
import { fromGetEvents } from "../convert/request.js";
import { type AllowedHomeservers, checked, homeserverProblem } from "../convert/request-check.js";
import { STREAM_LOOKUP_IDS_MAX } from "../limits.js";
import { CANCELLED, OK, type RpcLogger, toCacheError, toRequestFailure } from "../status.js";
import type { Outgoing } from "../wire/outgoing.js";
import { failureReply, streamedReply } from "../wire/reply-encoder.js";
import type { Decoded } from "../wire/strict-decode.js";
import { asSeenBy, readOf } from "./reader-view.js";
import { serviceDefinition } from "./service-definition.js";
import { SerialWrites, StreamWriter } from "./stream-writer.js";

/** The state that all read streams of a server share. */
export interface ReadStreamContext {
  readonly store: EventStore;
  readonly logger: RpcLogger;
  readonly drain: Drain;
  readonly inFlight: InFlight;
  readonly allowedHomeservers: AllowedHomeservers;
  readonly access: Access | undefined;
  readonly observer: CallObserver;
  /** A monotonic clock in milliseconds. */
  readonly clock: () => number;
}

const { path: PATH } = serviceDefinition.getEventsStream;

type Message = Outgoing | Buffer;
type Call = ServerDuplexStream<Decoded<wire.GetEventsStreamRequest>, Message>;

/**
 * GetEventsStream. Requests are answered one after the other, each looked up
 * when the reply before has been written. A lookup that has to wait for the log or
 * the tier does not hold up those after it: it goes on beside them and its reply is
 * written when it is there, unless a reply has to wait for the client. The call's
 * layer below bounds how many are read ahead.
 */
export function readStreamHandler(
  context: ReadStreamContext,
): handleBidiStreamingCall<Decoded<wire.GetEventsStreamRequest>, Message> {
  return (call) => {
    const writer = new StreamWriter<Message>(call, context.logger);
    void writer.finish(new ReadStream(context, call, writer).run());
  };
}

interface Accepted {
  readonly request: wire.GetEventsStreamRequest;
  readonly ticket: InFlightTicket;
  /** The reason why it is not looked up. */
  readonly refusal: CacheError | undefined;
  readonly trace: CallTrace | undefined;
  readonly handled: (statusCode: number) => void;
}

function eventIdsOf({ request }: Accepted): number {
  return request.request?.eventIds.length ?? 0;
}

class ReadStream {
  readonly #context: ReadStreamContext;
  readonly #writer: StreamWriter<Message>;
  readonly #holder: Holder;
  readonly #principal: Principal | undefined;
  readonly #trace: CallTrace | undefined;
  readonly #accepted: Accepted[] = [];
  readonly #requestIds = new Set<bigint>();
  #isDrained = false;
  /** A request arrived after the drain had started, and will not be answered. */
  #hasDropped = false;
  #isHalfClosed = false;
  /** Requests whose lookups wait, until their replies are written. */
  #underWay = 0;
  #idsUnderWay = 0;
  readonly #writes: SerialWrites<Message>;
  #wake: () => void = () => {};

  constructor(context: ReadStreamContext, call: Call, writer: StreamWriter<Message>) {
    this.#context = context;
    this.#writer = writer;
    this.#writes = new SerialWrites(writer);
    this.#holder = { connection: connectionOf(call.metadata) };
    this.#principal = principalOf(call.metadata);
    this.#trace = traceOf(call.metadata);
    call.on("data", (decoded: Decoded<wire.GetEventsStreamRequest>) => this.#accept(decoded));
    call.once("end", () => {
      this.#isHalfClosed = true;
      this.#wake();
    });
  }

  /** Resolves when the stream ends with OK, else rejects with the reason. */
  async run(): Promise<void> {
    const { drain } = this.#context;
    const { gone } = this.#writer;
    const wake = () => this.#wake();
    // A drain that ends before this stream has ended takes nothing back: requests were left unread.
    this.#isDrained = drain.started;
    const forgetDrain = drain.onStart(() => {
      this.#isDrained = true;
      wake();
    });
    gone.addEventListener("abort", wake, { once: true });
    try {
      while (!gone.aborted) {
        const next = this.#mayBeginNext() ? this.#accepted.shift() : undefined;
        if (next !== undefined) await this.#begin(next);
        else if (this.#underWay > 0) await this.#woken();
        else if (this.#isHalfClosed && !this.#hasDropped) return;
        else if (this.#isDrained) throw draining();
        else await this.#woken();
      }
    } finally {
      forgetDrain();
      for (const accepted of this.#accepted) {
        accepted.ticket.release();
        accepted.trace?.end(CANCELLED);
        accepted.handled(CANCELLED);
      }
    }
  }

  /** Bounds the pending replies and lookups if the client does not read or the store is slow. */
  #mayBeginNext(): boolean {
    const [next] = this.#accepted;
    if (next === undefined || this.#writes.pending > 0) return false;
    return this.#underWay === 0 || this.#idsUnderWay + eventIdsOf(next) <= STREAM_LOOKUP_IDS_MAX;
  }

  #accept(decoded: Decoded<wire.GetEventsStreamRequest>): void {
    if (this.#writer.gone.aborted) return;
    if (this.#isDrained) {
      this.#hasDropped = true;
      return;
    }
    if (!decoded.ok) {
      this.#writer.fail(decoded.error);
    } else if (this.#requestIds.has(decoded.message.requestId)) {
      const violations = [{ field: "request_id", description: "is still in flight" }];
      this.#writer.fail(new CacheError("invalidArgument", "request_id is still in flight", { violations }));
    } else {
      const request = decoded.message;
      const ticket = this.#context.inFlight.admitMessage(this.#holder);
      const homeserver = request.request?.homeserver ?? "";
      // An invalid name is refused when the request is answered. Here it would count as another homeserver.
      const isNamed = homeserverProblem(homeserver, this.#context.allowedHomeservers) === undefined;
      const denial = denied(this.#principal, PATH, homeserver);
      if (denial !== undefined && this.#principal !== undefined) {
        this.#context.access?.denied(this.#principal, PATH);
      }
      const refusal =
        denial ?? ticket.addBytes(decoded.byteLength) ?? (isNamed ? ticket.assign(homeserver) : undefined);
      this.#requestIds.add(request.requestId);
      const trace = this.#trace?.beginRequest();
      const handled = beginStreamRequest(this.#context.observer, this.#context.clock);
      // What is not counted is not kept either.
      const kept = refusal === undefined ? request : { requestId: request.requestId, request: undefined };
      this.#accepted.push({ request: kept, ticket, refusal, trace, handled });
    }
    this.#wake();
  }

  /** Answers a request. Returns at once if its lookup must wait. */
  async #begin(accepted: Accepted): Promise<void> {
    let hasToWait = false;
    const answered = this.#answer(accepted, () => {
      hasToWait = true;
    });
    if (!hasToWait) return answered;
    const eventIds = eventIdsOf(accepted);
    this.#underWay += 1;
    this.#idsUnderWay += eventIds;
    void answered
      .catch((error: unknown) => this.#writer.fail(toCacheError(error, this.#context.logger)))
      .finally(() => {
        this.#underWay -= 1;
        this.#idsUnderWay -= eventIds;
        this.#wake();
      });
  }

  /** If the lookup must wait, calls `onWait` before it returns. */
  async #answer({ request, ticket, refusal, trace, handled }: Accepted, onWait: () => void): Promise<void> {
    const { requestId } = request;
    let written: Promise<void> | undefined;
    let statusCode: number = OK;
    try {
      if (refusal !== undefined) throw refusal;
      const read = this.#check(request, trace);
      const waiting = this.#context.store.getEvents(read, (result) => {
        const reply = streamedReply(requestId, read, asSeenBy(this.#principal, PATH, read, result));
        const tooMany = ticket.addBytes(reply.byteLength);
        if (tooMany !== undefined) throw tooMany;
        trace?.note(readFacts(reply));
        // A reply that has to wait for others is encoded now: the events are only lent.
        written = this.#write(requestId, this.#writes.pending === 0 ? reply : Buffer.from(reply.encode()));
      });
      if (waiting !== undefined) {
        onWait();
        await waiting;
      }
      if (written === undefined) throw new CacheError("internal", "the store answered a read with nothing");
      await written;
    } catch (error) {
      const failure = toRequestFailure(toCacheError(error, this.#context.logger, trace));
      statusCode = failure.code;
      await this.#write(requestId, failureReply(requestId, failure));
    } finally {
      ticket.release();
      if (this.#writer.gone.aborted) statusCode = CANCELLED;
      trace?.end(statusCode);
      handled(statusCode);
    }
  }

  #check({ request }: wire.GetEventsStreamRequest, trace: CallTrace | undefined): ReadRequest {
    const read = checked(this.#context.allowedHomeservers, (check) => {
      if (request === undefined) check.note("request", "is required");
      return fromGetEvents(check, request ?? wire.GetEventsRequest.create());
    });
    if (request !== undefined) trace?.note(requestFacts(request, trace.showsIds));
    return readOf(this.#principal, read);
  }

  #write(requestId: bigint, message: Message): Promise<void> {
    // In the turn in which the last of it left: before a request that answers it can be read.
    return this.#writes.write(message, () => this.#requestIds.delete(requestId));
  }

  #woken(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}
