import { type ClientHttp2Session, connect, type Settings } from "node:http2";
import { connect as connectTcp } from "node:net";
import { credentials, ServerCredentials } from "@grpc/grpc-js";
import { afterEach } from "vitest";
import type { EventStore } from "../../../src/core/model/store.js";
import { EventCacheServiceClient } from "../../../src/gen/splitcache/v1/event_cache_service.js";
import type { CallLabels } from "../../../src/rpc/calls/call-observer.js";
import { createGrpcServer, type GrpcServer, type GrpcServerOptions } from "../../../src/rpc/grpc-server.js";
import { makeMemoryStore } from "../store/store-harness.js";
import { type TappedSession, tappedSession } from "./tapped-session.js";

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
  /** What the observer received: `method code`, in the order of the ends. */
  readonly handled: readonly string[];
  /** What was logged as an error. */
  readonly errors: readonly unknown[];
  /** The capacities that calls found full. */
  readonly full: ReadonlySet<string>;
  /** Why connections were ended. */
  readonly floods: readonly string[];
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
      logger: { error: (_message, { err }) => errors.push(err), debug: () => {} },
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
