import { describe, expect, it } from "vitest";
import { formatPostgresUrl, parsePostgresUrl } from "../../../src/config/postgres-url.js";

const parse = (text: string, environment = {}) => parsePostgresUrl(text, environment).settings;
const problem = (text: string, environment = {}) => parsePostgresUrl(text, environment).problem;

describe("a PostgreSQL URL", () => {
  it("names server, database and user", () => {
    expect(parse("postgres://sc@db.example:6432/synapse")).toEqual({
      host: "db.example",
      port: 6432,
      socketDirectory: undefined,
      database: "synapse",
      user: "sc",
      password: undefined,
      sslMode: "verify-full",
      sslRootCertFile: undefined,
      sslCertFile: undefined,
      sslKeyFile: undefined,
    });
  });

  it.each([
    ["postgresql://sc@db", { port: 5432, database: "sc" }],
    ["postgres://sc@[::1]:1/d", { host: "::1", port: 1, sslMode: "disable" }],
    ["postgres://sc@127.0.0.1/d", { sslMode: "disable" }],
    ["postgres://sc@localhost/d?sslmode=require", { sslMode: "require" }],
    ["postgres://sc@/d", { socketDirectory: "/var/run/postgresql", sslMode: "disable" }],
    ["postgres://sc@%2Ftmp%2Fpg:5433/d", { socketDirectory: "/tmp/pg", port: 5433 }],
    [
      "postgres:///d?host=/tmp/pg&user=a%40b&port=5433",
      { socketDirectory: "/tmp/pg", user: "a@b", port: 5433 },
    ],
    ["postgres://s%20c@db/d%2Fe", { user: "s c", database: "d/e" }],
    [
      "postgres://sc@db/d?sslmode=verify-ca&sslrootcert=/ca&sslcert=/c&sslkey=/k",
      { sslMode: "verify-ca", sslRootCertFile: "/ca", sslCertFile: "/c", sslKeyFile: "/k" },
    ],
    ["postgres://sc@db/d?sslrootcert=system", { sslMode: "verify-full", sslRootCertFile: undefined }],
  ])("reads %s", (text, settings) => {
    expect(parse(text)).toMatchObject(settings);
  });

  it("takes missing parameters from the variables of libpq, and overrides the variables", () => {
    const environment = {
      PGHOST: "env.example",
      PGPORT: "7",
      PGDATABASE: "e",
      PGUSER: "eu",
      PGPASSWORD: "secret",
      PGSSLMODE: "verify-ca",
      PGSSLROOTCERT: "/ca",
    };
    expect(parse("postgres://", environment)).toMatchObject({
      host: "env.example",
      port: 7,
      database: "e",
      user: "eu",
      password: "secret",
      sslMode: "verify-ca",
      sslRootCertFile: "/ca",
    });
    expect(parse("postgres://u@h:8/d?sslmode=require", environment)).toMatchObject({
      host: "h",
      port: 8,
      database: "d",
      user: "u",
      sslMode: "require",
    });
    expect(parse("postgres://u@h/d", { PGHOST: "", PGPORT: "" })).toMatchObject({ host: "h", port: 5432 });
  });

  it.each([
    ["redis://h", "must be postgres://"],
    ["postgres:/h", "must be postgres://"],
    ["postgres://u@h/d#x", "must be postgres://"],
    ["postgres://u:secret@h/d", "must not contain a password"],
    ["postgres://u@h/d?password=secret", "must not contain a password"],
    ["postgres://h/d", "names no user"],
    ["postgres://u@h1,h2/d", "one host"],
    ["postgres://u@/d?host=h1,h2", "one host"],
    ["postgres://u@h:x/d", "no valid host and port"],
    ["postgres://u@h:0/d", "1 to 65535"],
    ["postgres://u@h/d?port=70000", "1 to 65535"],
    ["postgres://u@h/d?host=g", "has the parameter host twice"],
    ["postgres://u@h/d?sslmode=prefer", "may connect without TLS"],
    ["postgres://u@h/d?sslmode=verify", "is not one of"],
    ["postgres://u@h/d?sslmode=", "an empty sslmode"],
    ["postgres://u@h/d?options=-c%20x", "an unknown parameter"],
    ["postgres://u@h/d?sslcert=/c", "requires both sslcert and sslkey"],
    ["postgres://u@h/d?sslmode=disable&sslrootcert=/ca", "although sslmode is disable"],
    ["postgres://u@/d?sslmode=verify-full", "has no TLS"],
    ["postgres://u@h/d%zz", "hexadecimal"],
    ["postgres://u%00@h/d", "zero byte"],
    [`postgres://${"u".repeat(64)}@h/d`, "more than 63 bytes"],
    [`postgres://u@/d?host=/${"x".repeat(88)}`, "more than 88 bytes"],
  ])("is refused: %s", (text, words) => {
    expect(problem(text)).toContain(words);
    expect(problem(text)).not.toContain("secret");
  });

  it.each([
    "postgres://sc@db.example:6432/synapse?sslmode=verify-full",
    "postgres://s%20c@[::1]:5432/d?sslmode=require",
    "postgres://sc@/d?host=/tmp/pg&port=5433&sslmode=disable",
  ])("is formatted as it was read: %s", (text) => {
    const settings = parse(text, { PGPASSWORD: "secret" });
    expect(formatPostgresUrl(settings!)).toBe(text);
  });
});
