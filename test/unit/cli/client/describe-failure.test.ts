import { Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import { CliError } from "../../../../src/cli/cli-error.js";
import { describeFailure, isPermanent, isUnavailable } from "../../../../src/cli/client/describe-failure.js";
import { BadRequest } from "../../../../src/gen/google/rpc/error_details.js";
import { Status } from "../../../../src/gen/google/rpc/status.js";

describe("describeFailure", () => {
  it("names every field that a request got wrong", () => {
    const violation = (field: string, description: string) => ({
      field,
      description,
      reason: "",
      localizedMessage: undefined,
    });
    const fieldViolations = [violation("homeserver", "is empty"), violation("event_ids[2]", "is too long")];
    const details = [
      {
        typeUrl: "type.googleapis.com/google.rpc.BadRequest",
        value: Buffer.from(BadRequest.encode({ fieldViolations }).finish()),
      },
    ];
    const metadata = new Metadata();
    const wire = Status.encode({ code: status.INVALID_ARGUMENT, message: "", details }).finish();
    metadata.set("grpc-status-details-bin", Buffer.from(wire));
    const error = describeFailure(serviceError(status.INVALID_ARGUMENT, "2 fields", metadata), "a:1");
    expect(error.message).toBe("refused: 2 fields; homeserver: is empty; event_ids[2]: is too long");
    expect(error.exitCode).toBe(2);
  });

  it.each([
    [status.UNAVAILABLE, 4],
    [status.DEADLINE_EXCEEDED, 4],
    [status.RESOURCE_EXHAUSTED, 4],
    [status.CANCELLED, 130],
    [status.UNIMPLEMENTED, 1],
    [status.INTERNAL, 1],
  ])("gives status %i the exit code %i", (code, exitCode) => {
    expect(describeFailure(serviceError(code, "why"), "a:1").exitCode).toBe(exitCode);
  });

  it("says where nothing answered", () => {
    const { message } = describeFailure(serviceError(status.UNAVAILABLE, "refused"), "host:9");
    expect(message).toBe("no sidecar answers at host:9: refused");
  });

  it("says who answered that it is unavailable", () => {
    const answered = new Metadata();
    answered.set("content-type", "application/grpc+proto");
    const { message } = describeFailure(serviceError(status.UNAVAILABLE, "no store", answered), "host:9");
    expect(message).toBe("the sidecar at host:9 is unavailable: no store");
  });

  it("takes a file that cannot be read for wrong usage", () => {
    const error = Object.assign(new Error("ENOENT: no such file"), { syscall: "open", path: "x" });
    expect(describeFailure(error, "a:1")).toMatchObject({ exitCode: 2, message: "ENOENT: no such file" });
  });

  it("leaves an error for the user as it is", () => {
    const error = new CliError(3, "missing");
    expect(describeFailure(error, "a:1")).toBe(error);
  });
});

describe("isUnavailable and isPermanent", () => {
  it("tells what another try may mend from what it cannot", () => {
    expect(isUnavailable(serviceError(status.UNAVAILABLE, ""))).toBe(true);
    expect(isUnavailable(serviceError(status.INTERNAL, ""))).toBe(false);
    expect(isPermanent(serviceError(status.INTERNAL, ""))).toBe(false);
    expect(isPermanent(serviceError(status.INVALID_ARGUMENT, ""))).toBe(true);
    expect(isPermanent(new CliError(5, "two stores"))).toBe(true);
  });
});

function serviceError(code: status, details: string, metadata = new Metadata()): ServiceError {
  return Object.assign(new Error(details), { code, details, metadata });
}
