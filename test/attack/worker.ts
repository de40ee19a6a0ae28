import { setTimeout as delay } from "node:timers/promises";
import { status } from "@grpc/grpc-js";
import * as wire from "../../src/gen/splitcache/v1/event_cache_service.js";
import type { ConnectionAttack } from "./attackers.js";
import { Calls, type Sent } from "./calls.js";
import { type Homeserver, newHomeserver } from "./homeserver.js";
import { framed, type RawCall } from "./http2/raw-call.js";
import { RawConnection } from "./http2/raw-connection.js";
import { validHeaders } from "./mutate-headers.js";
import { mutateMessage } from "./mutate-message.js";
import type { Random } from "./random.js";
import type { Findings } from "./report.js";
import * as requests from "./requests.js";

export interface WorkerOptions {
  readonly port: number;
  readonly random: Random;
  readonly findings: Findings;
  /** A tidy worker makes valid calls alone: its connection must last and each call be served. */
  readonly isTidy: boolean;
  /** Whole connections are attacked in these ways. */
  readonly attacks: readonly ConnectionAttack[];
}

/** A call that has not ended after this time never will: the server's own limit is 30 s. */
const CALL_MS_MAX = 60_000;
/** How long a worker waits for the calls of one step before it goes on beside them. */
const STEP_MS = 500;
const PENDING_MAX = 200;

/** One of the attackers that work side by side: a connection and what is sent over it, step after step. */
export class Worker {
  readonly #options: WorkerOptions;
  readonly #random: Random;
  readonly #findings: Findings;
  readonly #calls: Calls;
  readonly #homeserver: Homeserver;
  readonly #pending = new Map<Promise<unknown>, number>();
  #connection: RawConnection | undefined;

  constructor(options: WorkerOptions) {
    this.#options = options;
    this.#random = options.random;
    this.#findings = options.findings;
    this.#calls = new Calls(options.random, options.findings);
    this.#homeserver = newHomeserver(options.random);
  }

  /** Works until `isDone`, then closes its connection. */
  async run(isDone: () => boolean): Promise<void> {
    while (!isDone()) {
      const connection = await this.#connected();
      await Promise.race([Promise.all(this.#step(connection)), delay(STEP_MS)]);
      while (this.#pending.size > PENDING_MAX && !isDone()) await delay(10);
      this.#findOverdue();
    }
    this.#connection?.destroy();
    await Promise.all(this.#pending.keys());
  }

  async #connected(): Promise<RawConnection> {
    if (this.#connection?.isGone === false && this.#connection.goawayCode === undefined)
      return this.#connection;
    if (this.#connection !== undefined) {
      const code = this.#connection.goawayCode;
      this.#findings.ended("connections", code === undefined ? "closed" : `GOAWAY ${code}`);
      // Keepalive ends a connection in good order when the server gets no CPU to read its answer.
      if (this.#options.isTidy && code !== 0) {
        this.#findings.fault(`a connection with valid calls alone was ended: GOAWAY ${code}`);
      }
    }
    this.#connection = await RawConnection.open(this.#options.port, {
      onMessage: (call, message) => this.#received(call, message),
    });
    return this.#connection;
  }

  #step(connection: RawConnection): Promise<unknown>[] {
    const random = this.#random;
    const draw = random.below(100);
    if (this.#homeserver.position === undefined) return [this.#first(connection)];
    if (draw < 40) return this.#unaryCalls(connection);
    if (draw < 88) return [this.#tracked(this.#readStream(connection))];
    if (draw < 92) return [this.#tracked(this.#subscription(connection))];
    if (draw < 96) return this.#foreignCalls(connection);
    if (this.#options.isTidy) return [];
    return [this.#tracked(this.#connectionAttack())];
  }

  /** Asks for the position that puts need. */
  #first(connection: RawConnection): Promise<unknown> {
    return this.#tracked(this.#calls.valid(connection, requests.GET_EVENTS, this.#homeserver));
  }

  #unaryCalls(connection: RawConnection): Promise<unknown>[] {
    return Array.from({ length: this.#random.between(1, 15) }, () => {
      const method = requests.unaryMethod(this.#random);
      return this.#call(connection, method);
    });
  }

  #foreignCalls(connection: RawConnection): Promise<unknown>[] {
    return Array.from({ length: this.#random.between(1, 5) }, () => {
      const method = this.#random.pick(requests.FOREIGN_METHODS);
      // It lasts until it is given up.
      if (method.path.endsWith("Watch")) return this.#tracked(this.#watch(connection, method));
      return this.#call(connection, method);
    });
  }

  #call(connection: RawConnection, method: requests.Method): Promise<unknown> {
    const isValid = this.#options.isTidy || this.#random.chance(0.35);
    const calls = this.#calls;
    return this.#tracked(
      isValid
        ? calls.valid(connection, method, this.#homeserver)
        : calls.invalid(connection, method, this.#homeserver),
    );
  }

  /** A stream with many reads, which ends in good order, with a fault, or by being given up. */
  async #readStream(connection: RawConnection): Promise<void> {
    const random = this.#random;
    const count = random.between(1, 1000);
    const isValid = this.#options.isTidy || random.chance(0.5);
    const sent: Sent = {
      method: requests.GET_EVENTS_STREAM,
      homeserver: this.#homeserver,
      kind: isValid ? "valid read stream" : "read stream",
      expected: isValid ? "served" : "anything",
      request: Buffer.alloc(0),
    };
    const call = connection.call(validHeaders(requests.GET_EVENTS_STREAM.path), { tag: sent });
    this.#findings.calls += 1;
    const streamed = (requestId: bigint, isValid: boolean) =>
      isValid || random.chance(0.85)
        ? requests.streamedRead(requestId, requests.readRequest(random, this.#homeserver))
        : requests.invalidStreamedRead(requestId, random, this.#homeserver);
    const messages: Buffer[] = [];
    for (let index = 0; index < count; index++) messages.push(framed(streamed(BigInt(index), isValid)));
    this.#findings.calls += count;
    call.data(Buffer.concat(messages));
    const how = isValid ? 0 : random.below(4);
    if (how <= 1) call.data(Buffer.alloc(0), true);
    else if (how === 2) this.#endWithFault(call);
    else setTimeout(() => call.reset(8), random.below(50));
    const end = await this.#calls.judge(call, sent);
    if (isValid && end.status === status.OK && call.messages !== count) {
      this.#calls.report(`${call.messages} replies to ${count} reads of a stream`, sent);
    }
  }

  #endWithFault(call: RawCall): void {
    const method = requests.GET_EVENTS_STREAM;
    const { bytes } = mutateMessage(method.make(this.#random, this.#homeserver), this.#random, method);
    call.data(framed(bytes), this.#random.chance(0.5));
    // The message may be valid after all, and then the stream goes on.
    setTimeout(() => call.reset(8), 100);
  }

  async #subscription(connection: RawConnection): Promise<void> {
    const random = this.#random;
    const request = requests.SUBSCRIBE.make(random, this.#homeserver);
    const isValid = this.#options.isTidy || random.chance(0.5);
    const sent: Sent = {
      method: requests.SUBSCRIBE,
      homeserver: this.#homeserver,
      kind: "subscription",
      expected: "anything",
      request,
    };
    if (!isValid) {
      const call = this.#calls.invalid(connection, requests.SUBSCRIBE, this.#homeserver);
      await Promise.race([call, delay(random.below(2000))]);
      return;
    }
    this.#findings.calls += 1;
    const call = connection.call(validHeaders(requests.SUBSCRIBE.path), { tag: sent });
    call.data(framed(request), true);
    setTimeout(() => call.reset(8), random.below(2000));
    await this.#calls.judge(call, sent);
  }

  async #watch(connection: RawConnection, method: requests.Method): Promise<void> {
    const request = method.make(this.#random, this.#homeserver);
    const sent: Sent = { method, homeserver: this.#homeserver, kind: "watch", expected: "anything", request };
    this.#findings.calls += 1;
    const call = connection.call(validHeaders(method.path), { tag: sent });
    call.data(framed(request), true);
    setTimeout(() => call.reset(8), this.#random.below(1000));
    await this.#calls.judge(call, sent);
  }

  async #connectionAttack(): Promise<void> {
    const { port, findings, random, attacks } = this.#options;
    const attack = random.pick(attacks);
    this.#findings.ended("connection attacks", attack.name);
    await attack.run({ port, random, findings, homeserver: this.#homeserver });
  }

  #received(call: RawCall, message: Buffer): void {
    const sent = call.tag as Sent;
    const other = this.#homeserver.markOfAnother(message);
    this.#findings.replies += 1;
    if (other !== undefined) this.#calls.report(`served what homeserver ${other} had put`, sent);
    if (sent.kind !== "valid") {
      if (sent.kind === "valid read stream" && (call.messages & 15) === 0) this.#checkStreamed(message, sent);
      return;
    }
    const position = sent.method.position?.(message);
    if (position !== undefined) this.#homeserver.position = position;
  }

  #checkStreamed(message: Buffer, sent: Sent): void {
    const { result } = wire.GetEventsStreamResponse.decode(message);
    if (result?.$case === "response") {
      this.#homeserver.position = result.value.position ?? this.#homeserver.position;
      for (const event of result.value.events) {
        if (event.internalMetadata.toString() !== this.#homeserver.mark && this.#options.isTidy) {
          this.#calls.report(
            `internal metadata came back as ${event.internalMetadata.toString("hex")}`,
            sent,
          );
        }
      }
    } else if (result?.value.code !== status.RESOURCE_EXHAUSTED) {
      this.#calls.report(
        `a valid read of a stream failed with ${result?.value.code}: ${result?.value.message}`,
        sent,
      );
    }
  }

  #tracked(call: Promise<unknown>): Promise<unknown> {
    this.#pending.set(call, performance.now());
    void call.finally(() => this.#pending.delete(call));
    return call;
  }

  /** The tracked ones, in the order of their start. */
  #findOverdue(): void {
    const [oldest] = this.#pending;
    if (oldest === undefined || performance.now() - oldest[1] < CALL_MS_MAX) return;
    const open = this.#connection?.openCallStates().slice(0, 5).join("; ");
    this.#findings.fault(`a call or an attack had not ended after ${CALL_MS_MAX / 1000} s: open are ${open}`);
    this.#pending.delete(oldest[0]);
  }
}
