import type { ClientReadableStream, ServiceError } from "@grpc/grpc-js";
import type * as wire from "../../../src/gen/splitcache/v1/event_cache_service.js";
import { call } from "./calls.js";
import { type TestServer, useGrpcServers } from "./grpc-server.js";
import { HOMESERVER } from "./wire.js";

const startServer = useGrpcServers();

type Frame = NonNullable<wire.SubscribeResponse["frame"]>;

/** A subscriber that notes all that comes but signs of life. */
class Subscriber {
  readonly frames: Frame[] = [];
  progressCount = 0;
  error: ServiceError | undefined;
  readonly #stream: ClientReadableStream<wire.SubscribeResponse>;

  constructor(stream: ClientReadableStream<wire.SubscribeResponse>) {
    this.#stream = stream;
    stream.on("data", ({ frame }: wire.SubscribeResponse) => {
      if (frame?.$case === "progress") this.progressCount += 1;
      else if (frame !== undefined) this.frames.push(frame);
    });
    stream.on("error", (error: ServiceError) => {
      this.error = error;
    });
  }

  get kinds(): string[] {
    return this.frames.map(({ $case }) => $case);
  }

  /** The sequence numbers of all notices. */
  get sequences(): number[] {
    return this.frames.flatMap((frame) =>
      frame.$case === "batch" ? frame.value.notices.map(({ sequence }) => Number(sequence)) : [],
    );
  }

  cancel(): void {
    this.#stream.cancel();
  }
}

export function subscribe(
  client: ReturnType<TestServer["client"]>,
  resumeAfter?: wire.Position,
  homeserverName = HOMESERVER,
): Subscriber {
  return new Subscriber(
    client.subscribe({ homeserver: homeserverName, resumeAfter, subscriber: "worker\n1" }),
  );
}

export async function open(options: Parameters<typeof startServer>[0] = {}) {
  const server = await startServer(options);
  const client = server.client();
  const invalidate = (eventIds: string[]) =>
    call(client, client.invalidateEvents, { homeserver: HOMESERVER, roomId: "", eventIds });
  return { server, client, invalidate };
}
