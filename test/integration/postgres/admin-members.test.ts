import { status } from "@grpc/grpc-js";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { AdminServiceClient } from "../../../src/gen/splitcache/admin/v1/admin_service.js";
import { runCli } from "../../support/cli/run-cli.js";
import { eventually } from "../../support/eventually.js";
import { PostgresServer } from "../../support/postgres/postgres-server.js";
import { hasPostgres } from "../../support/postgres/programs.js";
import { freePort } from "../../support/program/free-port.js";
import { adminClientOf, callUnary } from "../../support/server/admin-client.js";
import { startTestServer, type TestServer } from "../../support/server/start-server.js";

const HOMESERVERS = ["alpha.example", "beta.example"];
const FIRST_PAGE = { pageSize: 0, pageToken: "" };
const ALL = { ...FIRST_PAGE, homeserver: "", memberId: "" };

describe.skipIf(!hasPostgres())("three sidecars over one PostgreSQL log, as AdminService shows them", () => {
  let postgres: PostgresServer;
  const servers: TestServer[] = [];
  const clients: AdminServiceClient[] = [];
  beforeAll(async () => {
    postgres = await PostgresServer.start();
  });
  afterEach(async () => {
    for (const client of clients.splice(0)) client.close();
    await Promise.all(servers.splice(0).map((server) => server.stop()));
    await postgres.query("delete from splitcache.member");
  });
  afterAll(() => postgres.stop());

  async function start(port = postgres.port) {
    const server = await startTestServer({ log: `postgres://postgres@127.0.0.1:${port}/postgres` });
    servers.push(server);
    const admin = adminClientOf(server.adminAddress);
    clients.push(admin);
    return { server, admin, client: server.newClient() };
  }

  /** Three sidecars that serve both homeservers. */
  async function three() {
    const sidecars = await Promise.all([start(), start(), start()]);
    for (const { client } of sidecars) {
      for (const homeserver of HOMESERVERS) {
        const request = { homeserver, roomId: "", eventIds: ["$1"] };
        await eventually(() => callUnary(client, client.invalidateEvents, request));
      }
    }
    return sidecars as [(typeof sidecars)[0], (typeof sidecars)[0], (typeof sidecars)[0]];
  }

  /** A member that never renews: what a sidecar leaves behind that was killed. */
  async function leaveDeadMember(): Promise<void> {
    await postgres.query("insert into splitcache.member (id, counter) values ('dead', 7)");
    await postgres.query(
      `insert into splitcache.applied (homeserver, member, epoch, sequence)
        select homeserver, 'dead', epoch, sequence - 2 from splitcache.head
        where homeserver = 'alpha.example'`,
    );
  }

  it("each are a live member, since they joined, behind by nothing", async () => {
    const [{ admin }, other] = await three();
    const { members } = await callUnary(admin, admin.listMembers, FIRST_PAGE);
    expect(members).toHaveLength(3);
    for (const member of members) {
      expect(member).toMatchObject({ live: true, homeservers: 2, lag: 0n });
      expect(Math.abs(Date.now() - Number(member.joinTime))).toBeLessThan(60_000);
    }
    const selves = async (asked: AdminServiceClient) => {
      const reply = await callUnary(asked, asked.listMembers, FIRST_PAGE);
      return reply.members.filter(({ self }) => self).map(({ memberId }) => memberId);
    };
    const [own, others] = [await selves(admin), await selves(other.admin)];
    expect([own.length, others.length]).toEqual([1, 1]);
    expect(own).not.toEqual(others);
  });

  it("shows a member whose lease is over, and its lag", async () => {
    const [{ admin }] = await three();
    await leaveDeadMember();
    const { members } = await callUnary(admin, admin.listMembers, FIRST_PAGE);
    expect(members.map(({ live }) => live).sort()).toEqual([false, true, true, true]);
    expect(members.find(({ memberId }) => memberId === "dead")).toMatchObject({
      self: false,
      live: false,
      homeservers: 1,
      lag: 2n,
    });
  });

  it("shows what each has applied of each homeserver, page by page", async () => {
    const [{ admin }] = await three();
    const shown: string[] = [];
    let pageToken = "";
    do {
      const request = { ...ALL, pageSize: 2, pageToken };
      const reply = await callUnary(admin, admin.listMemberPositions, request);
      expect(reply.positions.length).toBeLessThanOrEqual(2);
      for (const { homeserver, memberId, applied, head, lag } of reply.positions) {
        shown.push(`${homeserver} ${memberId}`);
        expect({ applied, lag }).toEqual({ applied: head, lag: 0n });
      }
      pageToken = reply.nextPageToken;
    } while (pageToken !== "");
    expect(shown).toHaveLength(6);
    expect(shown).toEqual([...new Set(shown)].sort());

    const [, memberId = ""] = shown[0]?.split(" ") ?? [];
    const one = { ...ALL, homeserver: "beta.example", memberId };
    const { positions } = await callUnary(admin, admin.listMemberPositions, one);
    expect(positions).toMatchObject([{ homeserver: "beta.example", memberId }]);
  });

  it("shows members page by page", async () => {
    const [{ admin }] = await three();
    const first = await callUnary(admin, admin.listMembers, { pageSize: 2, pageToken: "" });
    const request = { pageSize: 2, pageToken: first.nextPageToken };
    const second = await callUnary(admin, admin.listMembers, request);
    expect([first.members.length, second.members.length, second.nextPageToken]).toEqual([2, 1, ""]);
    expect(new Set([...first.members, ...second.members].map(({ memberId }) => memberId)).size).toBe(3);
  });

  it("prints them at the command line", async () => {
    const [{ server }] = await three();
    await leaveDeadMember();
    const env = { SPLITCACHE_ADMIN_ADDRESS: server.adminAddress };
    const members = await runCli(["admin", "members"], { env });
    expect(members.stdout).toMatch(/^MEMBER +LEASE +HOMESERVERS +LAG +SINCE\n/);
    expect(members.stdout.match(/ live +2 +0 +20/g)).toHaveLength(3);
    expect(members.stdout.match(/ \(this sidecar\) /g)).toHaveLength(1);
    expect(members.stdout).toMatch(/\ndead +over +1 +2 +20/);
    const args = ["admin", "positions", "--member", "dead", "-o", "json"];
    const positions = JSON.parse((await runCli(args, { env })).stdout);
    expect(positions).toMatchObject({ homeserver: "alpha.example", memberId: "dead", lag: 2 });
  });

  it("does not know since when where an earlier version made the tables", async () => {
    const [{ admin }] = await three();
    await postgres.query("alter table splitcache.member drop column joined_at");
    const { members } = await callUnary(admin, admin.listMembers, FIRST_PAGE);
    expect(members.map(({ joinTime }) => joinTime)).toEqual([undefined, undefined, undefined]);
    const column = "add column joined_at timestamptz not null default pg_catalog.now()";
    await postgres.query(`alter table splitcache.member ${column}`);
  });

  it("says that the log does not answer", async () => {
    const { admin } = await start(await freePort());
    const unavailable = {
      code: status.UNAVAILABLE,
      details: expect.stringMatching(/^the log cannot be read \(\w+\)$/),
    };
    await expect(callUnary(admin, admin.listMembers, FIRST_PAGE)).rejects.toMatchObject(unavailable);
    await expect(callUnary(admin, admin.listMemberPositions, ALL)).rejects.toMatchObject(unavailable);
  });
});
