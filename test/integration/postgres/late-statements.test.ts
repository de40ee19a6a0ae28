import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { eventually } from "../../support/eventually.js";
import { closeLogsAfterEach, type FollowedUnderTest, startLog } from "../../support/postgres/log-harness.js";
import { PostgresServer } from "../../support/postgres/postgres-server.js";
import { hasPostgres } from "../../support/postgres/programs.js";
import { invalidated } from "../../support/postgres/recording-copy.js";
import { LinkProxy } from "../../support/redis/link-proxy.js";

/** Statements reach the server after their connection was given up and others have taken effect. */
describe.skipIf(!hasPostgres())("a statement that the PostgreSQL log gets late", () => {
  let server: PostgresServer;
  let proxy: LinkProxy;
  beforeAll(async () => {
    server = await PostgresServer.start();
  });
  afterAll(() => server.stop());
  beforeEach(async () => {
    proxy = await LinkProxy.start(server.port);
  });
  closeLogsAfterEach();
  afterEach(() => proxy.stop());

  const two = (limits = {}) => ({
    near: startLog(server.target()),
    far: startLog(server.target({ socketDirectory: undefined, port: proxy.port }), { limits }),
  });

  /** Lets what was stranded arrive, and waits until the server has executed the statement that begins so. */
  const arrive = async (statement: string) => {
    proxy.arrive();
    await eventually(async () => {
      const rows = await server.query(
        "select from pg_stat_activity where state = 'idle' and query like $1 and application_name = 'splitcache'",
        [`%${statement}%`],
      );
      expect(rows).not.toHaveLength(0);
    });
  };

  /** A change that is confirmed while the other sidecar hears nothing: it must serve nothing by then. */
  const expectAwaited = async (a: FollowedUnderTest, b: FollowedUnderTest) => {
    await b.untilCurrent();
    proxy.set({ toServer: "held", fromServer: "held" });
    await a.append(invalidated("$1"));
    expect(b.log.isCurrent()).toBe(false);
    proxy.set({});
  };

  it("does not end the enrolment that came after a leave", async () => {
    const { near, far } = two();
    const a = near.follow("leave.example");
    const before = far.follow("leave.example");
    await Promise.all([a.untilCurrent(), before.untilCurrent()]);
    proxy.strand("leave\0");
    before.log.leave();
    await eventually(() => expect(far.failures.map(({ cause }) => cause)).toContain("noAnswer"));
    const b = far.follow("leave.example");
    await b.untilCurrent();
    await arrive("delete from splitcache.applied where homeserver");
    await expectAwaited(a, b);
  });

  it("does not end the enrolment that came after a sweep", async () => {
    const { near, far } = two({ membersIntervalMs: 50 });
    const a = near.follow("sweep.example");
    await a.untilCurrent();
    await far.follow("other.example").untilCurrent();
    proxy.strand("sweep-applied\0");
    await eventually(() => expect(far.failures.map(({ cause }) => cause)).toContain("noAnswer"));
    const b = far.follow("sweep.example");
    await b.untilCurrent();
    await arrive("homeserver <> all");
    await expectAwaited(a, b);
  });

  it("does not report what was not applied when it enrols for the second time", async () => {
    const { near, far } = two();
    const a = near.follow("enrol.example");
    await a.untilCurrent();
    proxy.strand("enrol\0");
    const b = far.follow("enrol.example");
    await b.untilCurrent();
    expect(far.failures.map(({ cause }) => cause)).toContain("noAnswer");
    proxy.set({ toServer: "held", fromServer: "held" });
    const appended = a.append(invalidated("$1"));
    await eventually(async () => {
      const rows = await server.query(
        "select from splitcache.change where convert_from(homeserver, 'UTF8') = 'enrol.example'",
      );
      expect(rows).toHaveLength(1);
    });
    await arrive("insert into splitcache.applied");
    await appended;
    expect(b.log.isCurrent()).toBe(false);
    proxy.set({});
    await b.untilCurrent();
  });
});
