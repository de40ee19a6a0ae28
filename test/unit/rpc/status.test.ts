import { status } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import { CacheError, type CacheErrorKind } from "../../../src/core/model/errors.js";
import { BadRequest, RetryInfo } from "../../../src/gen/google/rpc/error_details.js";
import { Status } from "../../../src/gen/google/rpc/status.js";
import { toCacheError, toRequestFailure, toStatus } from "../../../src/rpc/status.js";

const silent = { error: () => {}, debug: () => {} };

function detailsOf(error: CacheError): Status {
  const [bytes] = toStatus(error).metadata.get("grpc-status-details-bin");
  return Status.decode(bytes as Buffer);
}

describe("a failure's status", () => {
  it.each<[CacheErrorKind, status]>([
    ["invalidArgument", status.INVALID_ARGUMENT],
    ["exhausted", status.RESOURCE_EXHAUSTED],
    ["tooLarge", status.RESOURCE_EXHAUSTED],
    ["unavailable", status.UNAVAILABLE],
    ["deadlineExceeded", status.DEADLINE_EXCEEDED],
    ["cancelled", status.CANCELLED],
    ["internal", status.INTERNAL],
  ])("of kind %s has code %i", (kind, code) => {
    expect(toStatus(new CacheError(kind, "why")).code).toBe(code);
    expect(toRequestFailure(new CacheError(kind, "why")).code).toBe(code);
  });

  it("says when to try again exactly if a capacity is used up", () => {
    const [detail] = detailsOf(new CacheError("exhausted", "full", { retryDelayMs: 1500 })).details;
    expect(detail?.typeUrl).toBe("type.googleapis.com/google.rpc.RetryInfo");
    expect(RetryInfo.decode(detail!.value).retryDelay).toEqual({ seconds: 1n, nanos: 500_000_000 });
    expect(toStatus(new CacheError("tooLarge", "large")).metadata.get("grpc-status-details-bin")).toEqual([]);
  });

  it("names bad fields in less than 4 KiB, however long their descriptions", () => {
    const violations = Array.from({ length: 16 }, (_, index) => ({
      field: `events[${index}].body`,
      description: "x".repeat(600),
    }));
    const error = new CacheError("invalidArgument", "y".repeat(10_000), { violations });
    const { details, message } = detailsOf(error);
    const named = BadRequest.decode(details[0]!.value).fieldViolations;
    expect(named.length).toBeGreaterThan(2);
    expect(named[0]).toMatchObject(violations[0]!);
    expect(message.length).toBeLessThanOrEqual(1024);
    const [bytes] = toStatus(error).metadata.get("grpc-status-details-bin");
    expect(bytes!.length).toBeLessThanOrEqual(4096);
  });

  it("has a message that grpc-js can send, for any text of the error", () => {
    const { details } = toStatus(new CacheError("unavailable", "lost \uD800\n\0ü"));
    expect(details).toBe("lost ????");
    expect(encodeURI(details)).toBe("lost%20????");
  });

  it("tells nothing of a defect but the log", () => {
    const logged: unknown[] = [];
    const log = {
      ...silent,
      error: (_: string, { err }: Readonly<Record<string, unknown>>) => logged.push(err),
    };
    const cause = new Error("secret");
    expect(toStatus(toCacheError(cause, log)).details).not.toContain("secret");
    expect(
      toStatus(toCacheError(new CacheError("internal", "secret", { cause }), log)).details,
    ).not.toContain("secret");
    expect(logged).toEqual([cause, cause]);
  });

  it("logs nothing of an expected failure", () => {
    const log = { ...silent, error: () => expect.unreachable() };
    const known = new CacheError("unavailable", "lost");
    expect(toCacheError(known, log)).toBe(known);
  });
});
