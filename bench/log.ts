import type { Change, Epoch, EventId, Homeserver, Position } from "../src/core/model/types.js";
import type { HomeserverLog, Log, LogCopy } from "../src/log/port.js";
import { createPostgresLog } from "../src/log/postgres/postgres-log.js";
import { PostgresServer } from "../test/support/postgres/postgres-server.js";
import { percentile, printMachine } from "./support/report.js";

/**
 * What the PostgreSQL log costs: a change against a bare INSERT commit, with 3, 10 and 50
 * members in this process; the server's CPU per change; the server's CPU and WAL when
 * nothing changes. Run with `npm run bench -- log`.
 */

const CHANGE: Change = { kind: "invalidated", roomId: undefined, eventIds: ["$e" as EventId] };
const HOMESERVER = "bench.example" as Homeserver;
const CLOCK_TICKS_A_SECOND = 100;

/** A copy that keeps a position only. */
class Copy implements LogCopy {
  readonly homeserver: Homeserver;
  position: Position = { epoch: "" as Epoch, sequence: 0 };

  constructor(homeserver: Homeserver) {
    this.homeserver = homeserver;
  }

  restart(position: Position): void {
    this.position = position;
  }

  readonly next = (): void => {
    this.position = { epoch: this.position.epoch, sequence: this.position.sequence + 1 };
  };

  apply(): void {
    this.next();
  }

  dropEntries(): void {}
  applyUnknown(): void {
    this.next();
  }

  becameCurrent(): void {}
}

printMachine();
const server = await PostgresServer.start({ shared_buffers: "128MB", checkpoint_timeout: "1h" });
try {
  const bareMs = await bareCommit();
  console.log(`bare one-row INSERT commit: ${bareMs.toFixed(3)} ms (p50)`);
  for (const members of [1, 3, 10, 50]) await measureAppends(members, bareMs);
  await measureIdle(50, 4);
} finally {
  await server.stop();
}

async function bareCommit(): Promise<number> {
  const client = await server.connect();
  await client.query("create table bare (n int)");
  const times: number[] = [];
  for (let n = 0; n < 1000; n++) {
    const start = performance.now();
    await client.query({ name: "bare", text: "insert into bare values ($1)", values: [n] });
    times.push(performance.now() - start);
  }
  await client.end();
  return percentile(times, 0.5);
}

async function measureAppends(members: number, bareMs: number): Promise<void> {
  const logs = await startMembers(members, [HOMESERVER]);
  const [first] = logs[0]!.followed;
  const append = () => first!.log.append(CHANGE, first!.copy.next);
  for (let n = 0; n < 50; n++) await append();
  const times: number[] = [];
  const cpu = serverCpuMs();
  const changes = members > 10 ? 400 : 1000;
  for (let n = 0; n < changes; n++) {
    const start = performance.now();
    await append();
    times.push(performance.now() - start);
  }
  const cpuEach = (serverCpuMs() - cpu) / changes;
  const p50 = percentile(times, 0.5);
  const startMs = performance.now();
  const many = Math.max(400, Math.floor(8000 / members));
  await Promise.all(
    Array.from({ length: 16 }, async () => {
      for (let n = 0; n < many / 16; n++) await append();
    }),
  );
  const rate = many / ((performance.now() - startMs) / 1000);
  console.log(
    `${members} members: ${p50.toFixed(2)} ms (p50), ${percentile(times, 0.99).toFixed(2)} (p99), ` +
      `${(p50 / bareMs).toFixed(1)} x bare; server ${cpuEach.toFixed(2)} ms CPU a change; ` +
      `${rate.toFixed(0)} changes/s with 16 in flight`,
  );
  await Promise.all(logs.map(({ log }) => log.close()));
}

async function measureIdle(members: number, homeserversEach: number): Promise<void> {
  const names = Array.from({ length: homeserversEach }, (_, n) => `h${n}.example` as Homeserver);
  const logs = await startMembers(members, (index) => names.map((name) => `${index}.${name}` as Homeserver));
  await pause(2000);
  const cpu = serverCpuMs();
  const wal = await walBytes();
  const own = process.cpuUsage();
  const seconds = 10;
  await pause(seconds * 1000);
  const { user, system } = process.cpuUsage(own);
  console.log(
    `idle, ${members} members with ${members * homeserversEach} homeservers: ` +
      `${((serverCpuMs() - cpu) / seconds / 10).toFixed(1)} % of a core, ` +
      `${(((await walBytes()) - wal) / seconds / 1000).toFixed(1)} kB/s of WAL; ` +
      `each sidecar ${((user + system) / 1e4 / seconds / members).toFixed(2)} % of a core`,
  );
  await Promise.all(logs.map(({ log }) => log.close()));
}

async function startMembers(
  count: number,
  homeservers: readonly Homeserver[] | ((index: number) => Homeserver[]),
) {
  const logs: { log: Log; followed: { log: HomeserverLog; copy: Copy }[] }[] = [];
  for (let n = 0; n < count; n++) {
    const log = createPostgresLog({
      target: server.target(),
      events: { failed: (_, message) => console.error(message), up: () => {}, down: () => {} },
    });
    const names = typeof homeservers === "function" ? homeservers(n) : homeservers;
    logs.push({ log, followed: names.map((name) => follow(log, name)) });
  }
  while (!logs.every(({ followed }) => followed.every((one) => one.log.isCurrent()))) await pause(20);
  return logs;
}

function follow(log: Log, name: Homeserver) {
  const copy = new Copy(name);
  return { log: log.follow(copy), copy };
}

/** User and system time of all of the server's processes, past ones included. */
function serverCpuMs(): number {
  return server.cpuTicks() * (1000 / CLOCK_TICKS_A_SECOND);
}

async function walBytes(): Promise<number> {
  const [row] = await server.query<{ bytes: string }>("select pg_current_wal_insert_lsn() - '0/0' as bytes");
  return Number(row?.bytes);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
