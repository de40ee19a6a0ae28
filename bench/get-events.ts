/**
 * GetEvents against a Redis Lua script that does the same two-level read: calls
 * per second of a sidecar and of redis-server, each on one core, the load on the
 * other; 16 in flight over 4 connections. Needs redis-server, redis-benchmark,
 * h2load and taskset. BENCH_NODE names the node that runs the sidecar.
 */
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createConnection, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { GetEventsRequest } from "../src/gen/splitcache/v1/event_cache_service.js";
import { percentile, printMachine, printTable } from "./support/report.js";
import { startSidecar } from "./support/sidecar.js";
import { fill, syntheticEvent, syntheticEventId } from "./support/synthetic.js";

const EVENTS = 100_000;
const BODY_BYTES = 900;
const ROUNDS = Number(process.env["BENCH_ROUNDS"] ?? 5);
const BATCHES = (process.env["BENCH_BATCHES"] ?? "1,10,100").split(",").map(Number);
const HOMESERVER = "alpha.example";
const SERVER_CORE = ["taskset", "-c", "0"];
const LOAD_CORE = ["taskset", "-c", "1"];
const node = process.env["BENCH_NODE"] ?? process.execPath;

/** The event, then this homeserver's metadata of it, which needs the room ID at the head of the event. */
const TWO_LEVEL_READ = `
local reply = {}
for i, id in ipairs(ARGV) do
  local event = redis.call('GET', 'e:' .. id)
  if event then
    local room = string.match(event, '^([^\\n]*)')
    local metadata = redis.call('HGET', 'm:' .. room, id)
    if metadata then
      reply[#reply + 1] = event
      reply[#reply + 1] = metadata
    end
  end
end
return reply`;

const folder = mkdtempSync(join(tmpdir(), "splitcache-bench-"));
printMachine(execFileSync(node, ["--version"]).toString().trim());
const sidecar = await startSidecar(["--memory", "512MiB"], { node, prefix: SERVER_CORE });
const redis = await startRedis();
try {
  await fill(sidecar.client(), HOMESERVER, EVENTS, BODY_BYTES);
  const sha = await redis.fill();
  const rows: (string | number)[][] = [
    ["IDs", "splitcache calls/s", "Lua calls/s", "ratio", "Lua, 16 pipelined", "ratio"],
  ];
  for (const batch of BATCHES) {
    const ids = Array.from({ length: batch }, (_, at) => syntheticEventId((at * 997) % EVENTS));
    const ours: number[] = [];
    const [plain, pipelined]: [number[], number[]] = [[], []];
    for (let round = 0; round < ROUNDS; round++) {
      ours.push(loadSidecar(ids));
      plain.push(loadRedis(sha, ids, ["-c", "16", "-P", "1"]));
      pipelined.push(loadRedis(sha, ids, ["-c", "4", "-P", "16"]));
    }
    const median = (values: number[]) => percentile(values, 0.5);
    rows.push([
      batch,
      Math.round(median(ours)),
      Math.round(median(plain)),
      (median(ours) / median(plain)).toFixed(2),
      Math.round(median(pipelined)),
      (median(ours) / median(pipelined)).toFixed(2),
    ]);
  }
  printTable(rows);
} finally {
  await sidecar.stop();
  await redis.stop();
  rmSync(folder, { recursive: true });
}

function callsFor(batch: number): number {
  return batch === 100 ? 20_000 : 60_000;
}

function loadSidecar(ids: string[]): number {
  const message = GetEventsRequest.encode({
    homeserver: HOMESERVER,
    eventIds: ids,
    redactionView: 0,
    minPosition: undefined,
  }).finish();
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  const file = join(folder, "request");
  writeFileSync(file, Buffer.concat([head, message]));
  const url = `http://${sidecar.address}/splitcache.v1.EventCacheService/GetEvents`;
  const output = execFileSync(LOAD_CORE[0]!, [
    ...LOAD_CORE.slice(1),
    ..."h2load -c 4 -m 4 -H content-type:application/grpc -H te:trailers".split(" "),
    ...["-n", String(callsFor(ids.length)), "-d", file, url],
  ]).toString();
  const failed = /(\d+) failed/.exec(output)?.[1];
  if (failed !== "0") throw new Error(output);
  return Number(/, ([\d.]+) req\/s/.exec(output)?.[1]);
}

function loadRedis(sha: string, ids: string[], inFlight: string[]): number {
  const output = execFileSync(LOAD_CORE[0]!, [
    ...LOAD_CORE.slice(1),
    ...["redis-benchmark", "-p", String(redis.port), "-n", String(callsFor(ids.length) / 2), "--csv"],
    ...[...inFlight, "EVALSHA", sha, "0", ...ids],
  ]).toString();
  return Number(output.trim().split("\n").at(-1)!.split(",")[1]!.replaceAll('"', ""));
}

async function startRedis() {
  const port = 20_000 + (process.pid % 20_000);
  const child = spawn(
    SERVER_CORE[0]!,
    [
      ...SERVER_CORE.slice(1),
      ..."redis-server --save --appendonly no --bind 127.0.0.1"
        .split(" ")
        .flatMap((word) => (word === "--save" ? [word, ""] : word)),
      ...["--port", String(port), "--dir", folder],
    ],
    { stdio: "ignore" },
  );
  const socket = await connect(port);
  return {
    port,
    async fill(): Promise<string> {
      let commands = "";
      for (let n = 0; n < EVENTS; n++) {
        const { eventId, roomId, body, internalMetadata } = syntheticEvent(n, BODY_BYTES);
        commands += command("SET", `e:${eventId}`, `${roomId}\n${body}`);
        commands += command("HSET", `m:${roomId}`, eventId, internalMetadata.toString());
        if (n % 1000 === 999) {
          await send(socket, commands, 2000);
          commands = "";
        }
      }
      return (await send(socket, command("SCRIPT", "LOAD", TWO_LEVEL_READ), 2)).split("\r\n")[1]!;
    },
    async stop(): Promise<void> {
      socket.destroy();
      const exited = new Promise((resolve) => child.once("exit", resolve));
      child.kill();
      await exited;
    },
  };
}

async function connect(port: number): Promise<Socket> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const socket = createConnection(port, "127.0.0.1");
    const connected = await new Promise<boolean>((resolve) => {
      socket.once("connect", () => resolve(true));
      socket.once("error", () => resolve(false));
    });
    if (connected) return socket;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error("redis-server does not answer");
}

function command(...words: string[]): string {
  return `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join("")}`;
}

/** Sends commands and waits for `lines` lines of replies. */
function send(socket: Socket, commands: string, lines: number): Promise<string> {
  return new Promise((resolve) => {
    let reply = "";
    const onData = (chunk: Buffer) => {
      reply += chunk;
      if (reply.split("\r\n").length <= lines) return;
      socket.off("data", onData);
      resolve(reply);
    };
    socket.on("data", onData);
    socket.write(commands);
  });
}
