import { setTimeout as delay } from "node:timers/promises";
import type { Homeserver } from "./homeserver.js";
import * as frames from "./http2/frames.js";
import { framed } from "./http2/raw-call.js";
import { RawConnection } from "./http2/raw-connection.js";
import { validHeaders } from "./mutate-headers.js";
import type { Random } from "./random.js";
import type { Findings } from "./report.js";
import { GET_EVENTS, GET_EVENTS_STREAM, PUT_EVENTS, SUBSCRIBE } from "./requests.js";
import { hold, holdSocket, openSocket, turn, writeMany } from "./sockets.js";

/** What an attack on a connection works with. */
export interface Attacker {
  readonly port: number;
  readonly random: Random;
  readonly homeserver: Homeserver;
  readonly findings: Findings;
}

/** One attack on a whole connection, which it opens and closes. */
export interface ConnectionAttack {
  readonly name: string;
  /**
   * After some faults Node.js reads nothing more from a connection, not even its end,
   * until the server's keepalive finds it dead. That is too long for the short form.
   */
  readonly leavesConnections?: boolean;
  run(attacker: Attacker): Promise<void>;
}

/** What a flood sends at most, if the server does not end its connection before. */
const FLOOD_CALLS = 3000;

export const CONNECTION_ATTACKS: readonly ConnectionAttack[] = [
  {
    name: "resets at once",
    run: (attacker) =>
      flood(attacker, (connection) => {
        connection.call(validHeaders(GET_EVENTS.path)).reset(8);
      }),
  },
  {
    name: "resets with a request",
    run: (attacker) => {
      const request = framed(GET_EVENTS.make(attacker.random, attacker.homeserver));
      return flood(attacker, (connection) => {
        const call = connection.call(validHeaders(GET_EVENTS.path));
        call.data(request, true);
        call.reset(attacker.random.pick([0, 8]));
      });
    },
  },
  {
    name: "unknown methods",
    run: (attacker) => {
      const block = validHeaders("/splitcache.v1.EventCacheService/Nothing");
      return flood(attacker, (connection) => void connection.call(block, { isEnd: true }));
    },
  },
  {
    name: "tiny DATA frames",
    run: async (attacker) => {
      const connection = await RawConnection.open(attacker.port);
      const bytes = framed(PUT_EVENTS.make(attacker.random, attacker.homeserver), 0, 2 ** 21);
      attacker.findings.calls += 1;
      const call = connection.call(validHeaders(PUT_EVENTS.path));
      call.data(bytes.subarray(0, 5));
      for (let count = 0; count < 20_000 && !connection.isGone && !call.isOver; count++) {
        call.data(bytes.subarray(5, 6));
        if (count % 500 === 0) await turn();
      }
      connection.destroy();
    },
  },
  ...["PING", "SETTINGS", "PRIORITY", "WINDOW_UPDATE", "empty DATA"].map((kind) => ({
    name: `frames of ${kind}`,
    run: (attacker: Attacker) => floodOfFrames(attacker, kind),
  })),
  {
    name: "CONTINUATION without end",
    run: async ({ port, random }) => {
      const socket = await openSocket(port);
      socket.write(Buffer.concat([frames.hello(65_535), frames.frame(frames.HEADERS, 0, 1)]));
      const part = frames.frame(
        frames.CONTINUATION,
        0,
        1,
        frames.headerBlock([["x", "y".repeat(random.below(16_000))]]),
      );
      await writeMany(socket, part, 2000);
    },
  },
  {
    name: "no HTTP/2 at all",
    run: async ({ port, random }) => {
      const socket = await openSocket(port);
      socket.write(
        random.pick([random.bytes(5000), Buffer.from("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), frames.PREFACE]),
      );
      await holdSocket(socket, random);
    },
  },
  {
    name: "frames of garbage",
    leavesConnections: true,
    run: async ({ port, random }) => {
      const socket = await openSocket(port);
      socket.write(frames.hello(65_535));
      for (let count = 0; count < 50 && !socket.destroyed; count++) {
        const payload = random.bytes(random.below(100));
        socket.write(
          frames.frame(random.below(12), random.below(256), random.pick([0, 1, 2, 3, 2 ** 31 - 1]), payload),
        );
        await turn();
      }
      socket.destroy();
    },
  },
  {
    name: "a frame that is too large, or beyond the window",
    leavesConnections: true,
    run: async (attacker) => {
      const { random } = attacker;
      const connection = await RawConnection.open(attacker.port);
      const call = connection.call(validHeaders(GET_EVENTS.path));
      const size = random.pick([frames.FRAME_BYTES_MAX + 1, frames.FRAME_BYTES_MAX]);
      for (let count = 0; count < 10; count++)
        connection.write(frames.frame(frames.DATA, 0, call.id, Buffer.alloc(size)));
      attacker.findings.calls += 1;
      await hold(connection, random);
    },
  },
  {
    name: "a connection that stays idle",
    run: async ({ port, random }) => {
      const connection = random.chance(0.5)
        ? (await RawConnection.open(port)).socket
        : await openSocket(port);
      await holdSocket(connection, random);
    },
  },
  {
    name: "a client that never reads",
    run: async (attacker) => {
      const { random, homeserver, findings } = attacker;
      const connection = await RawConnection.open(attacker.port, {
        initialWindowBytes: random.pick([0, 1, 65_535, 2 ** 31 - 1]),
      });
      if (random.chance(0.7)) connection.socket.pause();
      const method = random.pick([GET_EVENTS, GET_EVENTS_STREAM, SUBSCRIBE]);
      for (let count = random.between(1, 100); count > 0; count--) {
        const call = connection.call(validHeaders(method.path));
        const messages = method === GET_EVENTS_STREAM ? random.between(1, 100) : 1;
        for (let sent = 0; sent < messages; sent++) call.data(framed(method.make(random, homeserver)));
        if (method !== GET_EVENTS_STREAM) call.data(Buffer.alloc(0), true);
        findings.calls += messages;
      }
      await hold(connection, random);
    },
  },
  {
    name: "calls that are never finished",
    run: async (attacker) => {
      const { random, homeserver, findings } = attacker;
      const connection = await RawConnection.open(attacker.port);
      for (let count = random.between(1, 150); count > 0; count--) {
        const method = random.pick([GET_EVENTS, PUT_EVENTS, GET_EVENTS_STREAM, SUBSCRIBE]);
        const bytes = framed(method.make(random, homeserver));
        const call = connection.call(validHeaders(method.path));
        call.data(bytes.subarray(0, random.below(bytes.length)));
        findings.calls += 1;
      }
      await hold(connection, random);
    },
  },
  {
    name: "large requests that stop before their end",
    run: async (attacker) => {
      const { random, findings } = attacker;
      const connection = await RawConnection.open(attacker.port);
      for (let count = random.between(1, 20); count > 0; count--) {
        const bytes = framed(Buffer.alloc(4 * 2 ** 20 - 10));
        connection.call(validHeaders(PUT_EVENTS.path)).data(bytes.subarray(0, bytes.length - 1));
        findings.calls += 1;
      }
      await hold(connection, random);
    },
  },
];

/** Begins calls until the server ends the connection, or they are many. */
async function flood(
  { port, findings }: Attacker,
  begin: (connection: RawConnection) => void,
): Promise<void> {
  const connection = await RawConnection.open(port);
  for (let count = 0; count < FLOOD_CALLS && !connection.isGone; count++) {
    begin(connection);
    findings.calls += 1;
    if (count % 50 === 0) await turn();
  }
  connection.destroy();
  await connection.closed;
}

async function floodOfFrames({ port, random, homeserver, findings }: Attacker, kind: string): Promise<void> {
  const connection = await RawConnection.open(port);
  const call = connection.call(validHeaders(GET_EVENTS.path));
  findings.calls += 1;
  const flooding: Readonly<Record<string, Buffer>> = {
    PING: frames.frame(frames.PING, 0, 0, random.bytes(8)),
    SETTINGS: frames.frame(frames.SETTINGS, 0, 0),
    PRIORITY: frames.frame(frames.PRIORITY, 0, call.id + 2, Buffer.alloc(5)),
    WINDOW_UPDATE: frames.windowUpdate(call.id, 1),
    "empty DATA": frames.frame(frames.DATA, 0, call.id),
  };
  await turn();
  await writeMany(connection.socket, Buffer.concat(Array(100).fill(flooding[kind])), 100, false);
  call.data(framed(GET_EVENTS.make(random, homeserver)), true);
  await Promise.race([call.end, delay(1000)]);
  connection.destroy();
}
