import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { PostgresTarget } from "../../../src/log/postgres/connection/session.js";
import type { FailureCause } from "../../../src/log/postgres/failures/failures.js";
import { grantSql, schemaSql } from "../../../src/log/postgres/schema/schema-sql.js";
import { eventually } from "../../support/eventually.js";
import { closeLogsAfterEach, type LogUnderTest, startLog } from "../../support/postgres/log-harness.js";
import { LossyProxy } from "../../support/postgres/lossy-proxy.js";
import { PostgresServer } from "../../support/postgres/postgres-server.js";
import { hasPostgres } from "../../support/postgres/programs.js";
import { invalidated } from "../../support/postgres/recording-copy.js";

const PASSWORD = "correct horse battery staple";

describe.skipIf(!hasPostgres())("what fails at the PostgreSQL log", () => {
  let server: PostgresServer;
  beforeAll(async () => {
    server = await PostgresServer.start();
    const hba = join(server.data, "pg_hba.conf");
    await writeFile(hba, `host all with_password all scram-sha-256\n${await readFile(hba, "utf8")}`);
    await server.query("select pg_reload_conf()");
    await server.query(`create role with_password login password '${PASSWORD}'`);
    await server.query("create role limited login");
  });
  afterAll(() => server.stop());
  closeLogsAfterEach();

  /** Reported once, counted each time, and without a secret. */
  const expectFailure = async (sidecar: LogUnderTest, cause: FailureCause, words: string) => {
    await eventually(() => {
      expect(sidecar.log.status().errors[cause]).toBeGreaterThan(1);
    });
    const reported = sidecar.failures.filter((failure) => failure.cause === cause);
    expect(reported).toHaveLength(1);
    expect(reported[0]?.message).toContain(words);
    expect(JSON.stringify(sidecar.failures)).not.toMatch(/horse|wrong-password/);
    expect(sidecar.states).not.toContain("up");
  };

  const expectRecovery = async (sidecar: LogUnderTest) => {
    const followed = sidecar.follow("recovered.example");
    await followed.untilCurrent();
    await eventually(() => followed.append(invalidated("$1")));
    expect(sidecar.states.at(-1)).toBe("up");
  };

  it("a server that is not there", async () => {
    const other = await PostgresServer.start();
    await other.halt();
    try {
      const sidecar = startLog(other.target());
      await expectFailure(sidecar, "unreachable", "does not answer");
      await other.launch();
      await expectRecovery(sidecar);
    } finally {
      await other.stop();
    }
  });

  it("a wrong password, and none", async () => {
    const target = server.target({ user: "with_password", socketDirectory: undefined });
    await server.query(schemaSql("splitcache"));
    await server.query(grantSql("splitcache", "with_password"));
    const wrong = startLog({ ...target, password: "wrong-password" });
    const none = startLog(target);
    await expectFailure(wrong, "authentication", "refuses user or password");
    await expectFailure(none, "authentication", "refuses user or password");
    await server.query("alter role with_password password 'wrong-password'");
    await expectRecovery(wrong);
  });

  it("a database that does not exist", async () => {
    const sidecar = startLog(server.target({ database: "later" }));
    await expectFailure(sidecar, "database", "does not exist");
    await server.query("create database later");
    await expectRecovery(sidecar);
  });

  it("a role that may not create the tables, until another role does", async () => {
    const sidecar = startLog(server.target({ user: "limited" }), { schema: "by_hand" });
    await expectFailure(sidecar, "privileges", "splitcache log-schema --grant-to");
    await server.query(schemaSql("by_hand"));
    await server.query(grantSql("by_hand", "limited"));
    await expectRecovery(sidecar);
  });

  it("a role that may not use the tables", async () => {
    await server.query(schemaSql("no_grants"));
    const sidecar = startLog(server.target({ user: "limited" }), { schema: "no_grants" });
    await expectFailure(sidecar, "privileges", "lacks privileges");
    await server.query(grantSql("no_grants", "limited"));
    await expectRecovery(sidecar);
  });

  it.each([
    ["newer", 2, "upgrade this sidecar"],
    ["older", 0, "upgrade the schema"],
  ])("a schema of a %s version", async (name, version, remedy) => {
    await server.query(schemaSql(name));
    await server.query(`update ${name}.cluster set version = ${version}`);
    const sidecar = startLog(server.target(), { schema: name });
    await expectFailure(sidecar, "schema", remedy);
    await server.query(`update ${name}.cluster set version = 1`);
    await expectRecovery(sidecar);
  });

  it("a pooler that loses notifications", async () => {
    const proxy = await LossyProxy.start(server.port);
    try {
      const sidecar = startLog(server.target({ socketDirectory: undefined, port: proxy.port }), {
        limits: { notificationMs: 300 },
      });
      await expectFailure(sidecar, "notifications", "connect to PostgreSQL directly");
      proxy.isLossy = false;
      await expectRecovery(sidecar);
    } finally {
      await proxy.stop();
    }
  });

  it("a connection that loses its notifications later: changes are found by polling, and it is replaced", async () => {
    const proxy = await LossyProxy.start(server.port);
    proxy.isLossy = false;
    try {
      const limits = { pollMs: 50 };
      const near = startLog(server.target(), { schema: "deaf_later" });
      const far = startLog(server.target({ socketDirectory: undefined, port: proxy.port }), {
        schema: "deaf_later",
        limits,
      });
      const [a, b] = [near.follow(), far.follow()];
      await Promise.all([a.untilCurrent(), b.untilCurrent()]);
      await a.append(invalidated("$0"));
      expect(far.failures).toEqual([]);
      proxy.isLossy = true;
      for (let n = 1; far.failures.length === 0; n++) {
        const { sequence } = await a.append(invalidated(`$${n}`));
        expect(b.copy.position.sequence >= sequence || !b.log.isCurrent()).toBe(true);
      }
      expect(far.failures[0]?.cause).toBe("notifications");
    } finally {
      await proxy.stop();
    }
  });

  it("a server with no slot left", async () => {
    await server.query("create role full_up login connection limit 0");
    await server.query(schemaSql("splitcache"));
    await server.query(grantSql("splitcache", "full_up"));
    const sidecar = startLog(server.target({ user: "full_up" }));
    await expectFailure(sidecar, "connections", "max_connections");
    await server.query("alter role full_up connection limit -1");
    await expectRecovery(sidecar);
  });

  it("TLS that does not verify, or is not there", async () => {
    const cert = join(server.folder, "server.crt");
    const key = join(server.folder, "server.key");
    const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"];
    const files = ["-keyout", key, "-out", cert, "-days", "2", ...subject];
    await promisify(execFile)("openssl", ["req", "-x509", "-newkey", "rsa:2048", "-nodes", ...files]);
    const pem = await readFile(cert, "utf8");
    await server.writeFile("server.key", await readFile(key, "utf8"));
    const over = (host: string, tls: PostgresTarget["tls"]) =>
      server.target({ host, socketDirectory: undefined, tls });

    const early = startLog(over("localhost", { ca: pem }));
    await expectFailure(early, "tls", "sslmode");
    await server.query("alter system set ssl = on");
    await server.query(`alter system set ssl_cert_file = '${cert}'`);
    await server.query(`alter system set ssl_key_file = '${key}'`);
    await server.query("select pg_reload_conf()");
    await expectRecovery(early);

    await expectFailure(startLog(over("localhost", {})), "tls", "certificate");
    await expectFailure(startLog(over("127.0.0.1", { ca: pem })), "tls", "certificate");
  });

  it.each<[string, FailureCause, string, string]>([
    ["a full disk", "diskFull", "free disk space", "raise exception using errcode = '53100'"],
    ["a statement that takes too long", "statementTimeout", "too long", "perform pg_sleep(30)"],
  ])("%s", async (name, cause, words, body) => {
    const schema = name.replaceAll(" ", "_");
    const sidecar = startLog(server.target(), { schema });
    const followed = sidecar.follow();
    await followed.untilCurrent();
    await server.query(
      `create function ${schema}.fail() returns trigger language plpgsql as $$ begin ${body}; return new; end $$`,
    );
    await server.query(
      `create trigger fail before insert on ${schema}.change for each row execute function ${schema}.fail()`,
    );
    const refused = { kind: "unavailable" };
    await expect(followed.append(invalidated("$1"))).rejects.toMatchObject(refused);
    await expect(followed.append(invalidated("$1"))).rejects.toMatchObject(refused);
    expect(sidecar.log.status().errors[cause]).toBe(2);
    expect(sidecar.failures).toEqual([{ cause, message: expect.stringContaining(words) }]);
    expect(followed.log.isCurrent()).toBe(true);
    await server.query(`drop trigger fail on ${schema}.change`);
    await followed.append(invalidated("$2"));
    expect(followed.copy.applied).toEqual(["1 $2"]);
  });

  it("a lock that another session holds", async () => {
    const sidecar = startLog(server.target(), { schema: "locked" });
    const followed = sidecar.follow();
    await followed.untilCurrent();
    const client = await server.connect();
    await client.query("begin; lock table locked.change in share mode");
    await expect(followed.append(invalidated("$1"))).rejects.toMatchObject({ kind: "unavailable" });
    expect(sidecar.failures).toEqual([{ cause: "lock", message: expect.stringContaining("pg_locks") }]);
    await client.query("rollback");
    await client.end();
    await followed.append(invalidated("$2"));
  });

  it("a sidecar that cannot read the log gives up its lease, so that no change waits for it", async () => {
    await server.query(schemaSql("unreadable"));
    await server.query(grantSql("unreadable", "limited"));
    const near = startLog(server.target(), { schema: "unreadable" });
    const far = startLog(server.target({ user: "limited" }), { schema: "unreadable" });
    const [a, b] = [near.follow(), far.follow()];
    await Promise.all([a.untilCurrent(), b.untilCurrent()]);
    await server.query("revoke select on unreadable.change from limited");
    // Too large to travel with its notification.
    await a.append(invalidated(...Array.from({ length: 500 }, (_, index) => `$${index}-of-many`)));
    expect(b.log.isCurrent()).toBe(false);
    await server.query("grant select on unreadable.change to limited");
    await b.untilCurrent();
    expect(b.copy.position).toEqual(a.copy.position);
  });

  it("ten sidecars that start at once on an empty database", async () => {
    const sidecars = Array.from({ length: 10 }, () => startLog(server.target(), { schema: "at_once" }));
    const followed = sidecars.map((sidecar) => sidecar.follow());
    await Promise.all(followed.map(({ untilCurrent }) => untilCurrent()));
    const position = await followed[0]!.append(invalidated("$1"));
    for (const { copy } of followed) expect(copy.position).toEqual(position);
    for (const { failures } of sidecars) expect(failures).toEqual([]);
  });
});
