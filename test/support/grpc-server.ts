import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  type OutgoingHttpHeaders,
  type Settings,
} from "node:http2";
import { connect as connectTcp, type Socket } from "node:net";
import { Duplex } from "node:stream";
import {
  type CallOptions,
  type ClientUnaryCall,
  credentials,
  Metadata,
  ServerCredentials,
  type ServiceError,
} from "@grpc/grpc-js";
import { afterEach } from "vitest";
import type { EventStore } from "../../src/core/model/store.js";
import { BadRequest, RetryInfo } from "../../src/gen/google/rpc/error_details.js";
import { Status } from "../../src/gen/google/rpc/status.js";
import {
  EventCacheServiceClient,
  type RequestFailure,
} from "../../src/gen/splitcache/v1/event_cache_service.js";
import type { CallLabels } from "../../src/rpc/calls/call-observer.js";
import { createGrpcServer, type GrpcServer, type GrpcServerOptions } from "../../src/rpc/grpc-server.js";
import { makeMemoryStore } from "./store-harness.js";

export interface TestServer extends GrpcServer {
  readonly store: EventStore;
  readonly port: number;
  /** A generated client on a connection of its own. */
  client(): EventCacheServiceClient;
  /** A connection that can misbehave, from a loopback address. */
  raw(settings?: Settings, localAddress?: string): ClientHttp2Session;
  /**
   * The same with a huge window, from which frames can be left out; after `stop`
   * nothing more is taken from its socket.
   */
  tapped(isSent?: (frame: Buffer) => boolean): TappedSession;
  /** The methods of the calls whose headers have come. */
  readonly started: readonly string[];
  /** What the observer was told: `method code`, in the order of the ends. */
  readonly handled: readonly string[];
  /** What was logged as an error. */
  readonly errors: readonly unknown[];
  /** The capacities that calls found full. */
  readonly full: ReadonlySet<string>;
  /** Why connections were ended. */
  readonly floods: readonly string[];
}

export interface TappedSession {
  readonly session: ClientHttp2Session;
  stop(): void;
}

/** Starts servers on free ports for the tests of a suite; after each test all of it is gone. */
export function useGrpcServers(): (options?: Partial<GrpcServerOptions>) => Promise<TestServer> {
  const cleanups: (() => unknown)[] = [];
  afterEach(async () => {
    for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  });
  return async (options = {}) => {
    const store = options.store ?? makeMemoryStore().store;
    cleanups.push(() => store.close());
    const started: string[] = [];
    const handled: string[] = [];
    const errors: unknown[] = [];
    const floods: string[] = [];
    const full = new Set<string>();
    const grpc = createGrpcServer({
      observer: {
        started: ({ method }) => started.push(method),
        handled: ({ method }: CallLabels, code) => handled.push(`${method} ${code}`),
      },
      log: { error: (_message, { err }) => errors.push(err), debug: () => {} },
      clock: () => performance.now(),
      allowedHomeservers: undefined,
      onFlood: ({ kind }) => floods.push(kind),
      onFull: ({ capacity }) => full.add(capacity),
      silenceLimitMs: 5000,
      progressIntervalMs: 5,
      ...options,
      store,
    });
    const port = await new Promise<number>((resolve, reject) => {
      grpc.server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      );
    });
    cleanups.push(() => grpc.server.forceShutdown());
    return {
      ...grpc,
      store,
      port,
      started,
      handled,
      errors,
      floods,
      full,
      client: () => {
        const client = new EventCacheServiceClient(`127.0.0.1:${port}`, credentials.createInsecure(), {
          "grpc.use_local_subchannel_pool": 1,
        });
        cleanups.push(() => client.close());
        return client;
      },
      tapped: (isSent = () => true) => {
        const socket = connectTcp(port, "127.0.0.1");
        const { session, stop } = tappedSession(socket, isSent);
        cleanups.push(
          () => session.destroy(),
          () => socket.destroy(),
        );
        return { session, stop };
      },
      raw: (settings = {}, localAddress = "127.0.0.1") => {
        const socket = connectTcp({ port, host: "127.0.0.1", localAddress });
        const session = connect(`http://127.0.0.1:${port}`, { settings, createConnection: () => socket });
        session.on("error", () => {});
        cleanups.push(() => session.destroy());
        return session;
      },
    };
  };
}

const PREFACE_BYTES = 24;
const FRAME_HEAD_BYTES = 9;

function tappedSession(socket: Socket, isSent: (frame: Buffer) => boolean): TappedSession {
  let unsent = Buffer.alloc(0);
  let isOpened = false;
  const connection = new Duplex({
    read: () => {},
    write: (bytes, _encoding, done) => {
      unsent = Buffer.concat([unsent, bytes]);
      for (;;) {
        const length = isOpened
          ? FRAME_HEAD_BYTES + (unsent.byteLength < 3 ? 0 : unsent.readUIntBE(0, 3))
          : PREFACE_BYTES;
        if (unsent.byteLength < length) break;
        const frame = unsent.subarray(0, length);
        unsent = unsent.subarray(length);
        if (!isOpened || isSent(frame)) socket.write(frame);
        isOpened = true;
      }
      done();
    },
  });
  socket.on("data", (bytes) => connection.push(bytes));
  socket.on("error", () => {});
  const window = 2 ** 30;
  const session = connect("http://tapped", {
    createConnection: () => connection,
    settings: { initialWindowSize: window },
  });
  session.on("error", () => {});
  session.on("connect", () => session.setLocalWindowSize(window));
  return { session, stop: () => socket.pause() };
}

type UnaryMethod<Request, Response> = (
  request: Request,
  metadata: Metadata,
  options: Partial<CallOptions>,
  callback: (error: ServiceError | null, response: Response) => void,
) => ClientUnaryCall;

/** One unary call as a promise. */
export function call<Request, Response>(
  client: EventCacheServiceClient,
  method: UnaryMethod<Request, Response>,
  request: Request,
  options: Partial<CallOptions> = {},
): Promise<Response> {
  return new Promise((resolve, reject) => {
    method.call(client, request, new Metadata(), options, (error, response) =>
      error === null ? resolve(response) : reject(error),
    );
  });
}

/** What a client sees of a failure. */
export interface Failure {
  readonly code: number;
  readonly message: string;
  /** The fields that BadRequest names. */
  readonly fields: readonly string[];
  readonly canRetry: boolean;
}

export function failureOf(promise: Promise<unknown>): Promise<Failure> {
  return promise.then(
    () => Promise.reject(new Error("the call succeeded")),
    (error: ServiceError) => describeError(error),
  );
}

export function describeError(error: ServiceError): Failure {
  const [bytes] = error.metadata.get("grpc-status-details-bin");
  const details = Buffer.isBuffer(bytes) ? Status.decode(bytes).details : [];
  return describeFailure({ code: error.code, message: error.details, details });
}

export function describeFailure({ code, message, details }: RequestFailure): Failure {
  const find = (type: string) => details.find(({ typeUrl }) => typeUrl === `type.googleapis.com/${type}`);
  const badRequest = find("google.rpc.BadRequest");
  const retryInfo = find("google.rpc.RetryInfo");
  return {
    code,
    message,
    fields:
      badRequest === undefined
        ? []
        : BadRequest.decode(badRequest.value).fieldViolations.map(({ field }) => field),
    canRetry: retryInfo !== undefined && RetryInfo.decode(retryInfo.value).retryDelay !== undefined,
  };
}

/** A call over a raw connection, whose request is for the test to write. */
export interface RawCall {
  readonly stream: ClientHttp2Stream;
  /** The gRPC status, or `reset <code>` if the server reset the stream. */
  readonly end: Promise<string>;
}

/** `headers` are sent besides, or in place of, the usual ones. */
export function rawCall(
  session: ClientHttp2Session,
  method: string,
  headers: OutgoingHttpHeaders = {},
): RawCall {
  const stream = session.request({
    ":method": "POST",
    ":path": `/splitcache.v1.EventCacheService/${method}`,
    "content-type": "application/grpc",
    te: "trailers",
    ...headers,
  });
  const end = new Promise<string>((resolve) => {
    let grpcStatus: unknown;
    stream.on("response", (headers) => {
      grpcStatus = headers["grpc-status"];
    });
    stream.on("trailers", (headers) => {
      grpcStatus = headers["grpc-status"];
    });
    stream.on("error", () => {});
    stream.on("close", () => resolve(grpcStatus === undefined ? `reset ${stream.rstCode}` : `${grpcStatus}`));
  });
  return { stream, end };
}

/** A message with the head that gRPC puts before it. */
export function framed(message: Uint8Array): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.byteLength, 1);
  return Buffer.concat([head, message]);
}
