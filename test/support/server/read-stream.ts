import { type ClientDuplexStream, type ServiceError, status } from "@grpc/grpc-js";
import { expect } from "vitest";
import type * as wire from "../../../src/gen/splitcache/v1/event_cache_service.js";
import { eventually } from "../eventually.js";
import { decorateStore } from "../store/decorate-store.js";
import { makeMemoryStore } from "../store/store-harness.js";
import { call, describeFailure } from "./calls.js";
import { type TestServer, useGrpcServers } from "./grpc-server.js";
import { cachedEvent, put, read } from "./wire.js";

const startServer = useGrpcServers();

type Stream = ClientDuplexStream<wire.GetEventsStreamRequest, wire.GetEventsStreamResponse>;

/** A worker's end of a read stream. */
class Reader {
  readonly replies = new Map<bigint, wire.GetEventsStreamResponse["result"]>();
  end: number | undefined;
  readonly stream: Stream;

  constructor(stream: Stream) {
    this.stream = stream;
    stream.on("data", ({ requestId, result }: wire.GetEventsStreamResponse) => {
      this.replies.set(requestId, result);
    });
    stream.on("error", ({ code }: ServiceError) => {
      this.end ??= code;
    });
    stream.on("end", () => {
      this.end ??= status.OK;
    });
  }

  ask(requestId: bigint, eventIds: string[], changes: Partial<wire.GetEventsRequest> = {}): void {
    this.stream.write({ requestId, request: read(eventIds, changes) });
  }

  hits(requestId: bigint): string[] {
    const result = this.replies.get(requestId);
    return result?.$case === "response" ? result.value.events.map(({ eventId }) => eventId) : [];
  }

  failure(requestId: bigint) {
    const result = this.replies.get(requestId);
    return result?.$case === "failure" ? describeFailure(result.value) : undefined;
  }
}

export async function open(options: Parameters<typeof startServer>[0] = {}) {
  const server = await startServer(options);
  const client = server.client();
  const { position } = await call(client, client.getEvents, read([]));
  const events = [
    cachedEvent("$a"),
    cachedEvent("$b"),
    cachedEvent("$large", { body: Buffer.alloc(200_000, 120) }),
  ];
  await call(client, client.putEvents, put(events, position));
  const openReader = () => new Reader(client.getEventsStream());
  return { server, client, openReader };
}

export async function expectIdle(server: TestServer): Promise<void> {
  await eventually(() =>
    expect(server.usage()).toMatchObject({ callsInFlight: 0, bytesInFlight: 0, readStreams: 0 }),
  );
}

/** A store whose lookups wait until they are let go. */
export function heldStore() {
  const { store } = makeMemoryStore();
  let release = () => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  const held = decorateStore(store, {
    getEvents: async (request, take) => {
      if (request.eventIds.length > 0) await released;
      await store.getEvents(request, take);
    },
  });
  return { held, release: () => release() };
}
