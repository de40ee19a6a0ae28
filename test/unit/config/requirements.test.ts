import { describe, expect, it } from "vitest";
import { configOf, problemsOf, withTier } from "../../support/config/parse.js";

describe("listeners off loopback", () => {
  it.each([
    [[], true],
    [["--insecure"], false],
    [["--auth-file", "/a"], false],
    [["--tls-client-ca-file", "/ca", "--tls-cert-file", "/c", "--tls-key-file", "/k"], false],
    [["--tls-cert-file", "/c", "--tls-key-file", "/k"], true],
  ])("with %j need authentication: %j", (flags, isRefused) => {
    const problem =
      "--listen: 0.0.0.0:1 may be reached from other machines, so it requires --auth-file or --tls-client-ca-file, or --insecure to serve any client";
    const sources = { flags: ["--listen", "unix:/s", "--listen", "0.0.0.0:1", ...flags] };
    if (isRefused) expect(problemsOf(sources)).toEqual([problem]);
    else expect(configOf(sources).listen).toHaveLength(2);
  });

  it("of operators need it even with --insecure", () => {
    const flags = ["--admin-listen", "[::]:2", "--insecure"];
    expect(problemsOf({ flags })).toEqual([
      "--admin-listen: [::]:2 may be reached from other machines, so it requires --auth-file or --tls-client-ca-file",
    ]);
    expect(configOf({ flags: [...flags, "--auth-file", "/a"] }).adminListen).toHaveLength(1);
  });

  it("need certificate and key together, and authorities of clients with both", () => {
    expect(problemsOf({ flags: ["--tls-cert-file", "/c"] })).toEqual([
      "--tls-cert-file: requires --tls-key-file",
    ]);
    expect(problemsOf({ flags: ["--tls-client-ca-file", "/c"] })).toEqual([
      "--tls-client-ca-file: requires --tls-cert-file",
    ]);
  });
});

describe("log and tier", () => {
  it("must fit each other, and each of their options", () => {
    expect(problemsOf({ flags: ["--tier", "redis://r"] })).toEqual([
      "--tier: requires --log postgres://…",
      "--tier: requires --tier-key-file",
    ]);
    const flags = ["--log-password-file", "/p", "--log-schema", "s", "--tier-key-file", "/k"];
    expect(problemsOf({ flags })).toEqual([
      "--log-password-file: requires --log postgres://…",
      "--log-schema: requires --log postgres://…",
      "--tier-key-file: requires --tier",
    ]);
    expect(problemsOf({ flags: [...withTier("redis://r"), "--tier-tls-cert-file", "/c"] })).toEqual([
      "--tier-tls-cert-file: requires --tier rediss://… (or rediss-sentinel, rediss-cluster)",
      "--tier-tls-cert-file: requires --tier-tls-key-file",
    ]);
    expect(problemsOf({ flags: [...withTier("redis://r"), "--tier-sentinel-password-file", "/c"] })).toEqual([
      "--tier-sentinel-password-file: requires --tier redis-sentinel://…",
    ]);
    expect(problemsOf({ flags: withTier("redis://r") })).toEqual([]);
  });

  it("takes missing parameters of a PostgreSQL URL from the variables of libpq", () => {
    const flags = ["--log", "postgres://db/synapse"];
    expect(problemsOf({ flags })).toEqual([expect.stringMatching(/^--log: .*user/)]);
    expect(problemsOf({ flags, environment: { PGUSER: "splitcache" } })).toEqual([]);
  });

  it("reports an ignored password file of libpq, unless another password is given", () => {
    const flags = ["--log", "postgres://splitcache@db/splitcache"];
    const environment = { PGPASSFILE: "/secrets/pgpass" };
    expect(problemsOf({ flags, environment })).toEqual([
      "PGPASSFILE: is not supported; use --log-password-file or PGPASSWORD",
    ]);
    expect(problemsOf({ flags, environment: { ...environment, PGPASSWORD: "secret" } })).toEqual([]);
    const withFile = [...flags, "--log-password-file", "/secrets/password"];
    expect(problemsOf({ flags: withFile, environment })).toEqual([]);
  });

  it.each(["postgres://u:hunter2@db/x", "postgres://u@db/x?password=hunter2"])(
    "refuses the password in %s, and does not print it",
    (url) => {
      const [problem] = problemsOf({ flags: ["--log", url] });
      expect(problem).toMatch(/^--log: .*password/);
      expect(problem).not.toContain("hunter2");
    },
  );
});
