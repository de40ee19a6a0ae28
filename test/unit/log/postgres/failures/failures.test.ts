import { expect, it } from "vitest";
import { FailureReport } from "../../../../../src/log/postgres/failures/failure-report.js";
import { causeOf, type FailureCause, LogFailure } from "../../../../../src/log/postgres/failures/failures.js";

const error = (code: string, message = "m") => Object.assign(new Error(message), { code });

it.each<[FailureCause, unknown]>([
  ["unreachable", error("ECONNREFUSED")],
  ["unreachable", error("ENOENT")],
  ["unreachable", error("57P01")],
  ["unreachable", error("08006")],
  ["unreachable", new Error("Connection terminated unexpectedly")],
  ["unreachable", new Error("timeout expired")],
  ["authentication", error("28P01")],
  ["authentication", new Error("SASL: SCRAM-SERVER-FIRST-MESSAGE: client password must be a string")],
  ["tls", error("ERR_TLS_CERT_ALTNAME_INVALID")],
  ["tls", error("CERT_HAS_EXPIRED")],
  ["tls", error("UNABLE_TO_VERIFY_LEAF_SIGNATURE")],
  ["tls", new Error("The server does not support SSL connections")],
  ["privileges", error("42501")],
  ["schema", error("42P01")],
  ["standby", error("25006")],
  ["connections", error("53300")],
  ["diskFull", error("53100")],
  ["lock", error("55P03")],
  ["statementTimeout", error("57014")],
  ["noAnswer", new LogFailure("noAnswer", "m")],
  ["other", error("XX000")],
  ["other", "a text"],
])("finds the cause %s", (cause, thrown) => {
  expect(causeOf(thrown)).toBe(cause);
});

it("reports a cause once an episode, and counts each failure", () => {
  const reported: string[] = [];
  const clock = { nowMs: 0 };
  const events = { failed: (cause: string) => void reported.push(cause), up: () => {}, down: () => {} };
  const report = new FailureReport(events, "u@h:1/d", () => clock.nowMs);
  for (let n = 0; n < 5; n++) {
    report.failed(error("28P01"));
    clock.nowMs += 20_000;
  }
  report.failed(error("53100"));
  expect(reported).toEqual(["authentication", "diskFull"]);
  expect(report.counts).toMatchObject({ authentication: 5, diskFull: 1, other: 0 });
  clock.nowMs += 31_000;
  report.failed(error("28P01"));
  expect(reported).toEqual(["authentication", "diskFull", "authentication"]);
});

it("reports up and down when they change", () => {
  const states: string[] = [];
  const events = { failed: () => {}, up: () => void states.push("up"), down: () => void states.push("down") };
  const report = new FailureReport(events, "u@h:1/d", () => 0);
  for (const isUp of [false, true, true, false, true]) report.setUp(isUp);
  expect(states).toEqual(["up", "down", "up"]);
});
