import { Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import { describeFailure, isUnavailable } from "../../../../src/cli/client/describe-failure.js";
import { CliError } from "../../../../src/cli/exit-code.js";
import { BadRequest } from "../../../../src/gen/google/rpc/error_details.js";
import { Status } from "../../../../src/gen/google/rpc/status.js";

describe("describeFailure", () => {
  it("names every field that the sidecar refused, once", () => {
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
    expect(error.message).toBe(
      "the sidecar refused the request: homeserver is empty; event_ids[2] is too long",
    );
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

  it("shows the status text if no field is named", () => {
    const { message } = describeFailure(serviceError(status.INVALID_ARGUMENT, "too large"), "a:1");
    expect(message).toBe("the sidecar refused the request: too large");
  });

  it("names the address where no server answered, and the reason", () => {
    const details = "No connection established. Last error: Error: connect ECONNREFUSED. Resolution note: ";
    const { message } = describeFailure(serviceError(status.UNAVAILABLE, details), "host:9");
    expect(message).toBe("no sidecar answers at host:9: connect ECONNREFUSED");
  });

  it("asks whether a server without the method is splitcache", () => {
    const { message } = describeFailure(serviceError(status.UNIMPLEMENTED, "unknown"), "host:9");
    expect(message).toBe(
      "the server at host:9 does not implement this method; is it a splitcache gRPC listener?",
    );
  });

  it("says that a sidecar answered and is unavailable", () => {
    const answered = new Metadata();
    answered.set("content-type", "application/grpc+proto");
    const { message } = describeFailure(serviceError(status.UNAVAILABLE, "no lease", answered), "host:9");
    expect(message).toBe("the sidecar at host:9 is unavailable: no lease");
  });

  it("returns a CliError unchanged", () => {
    const error = new CliError(3, "missing");
    expect(describeFailure(error, "a:1")).toBe(error);
  });
});

describe("isUnavailable", () => {
  it("separate failures that another attempt may cure from permanent ones", () => {
    expect(isUnavailable(serviceError(status.UNAVAILABLE, ""))).toBe(true);
    expect(isUnavailable(serviceError(status.INTERNAL, ""))).toBe(false);
  });
});

function serviceError(code: status, details: string, metadata = new Metadata()): ServiceError {
  return Object.assign(new Error(details), { code, details, metadata });
}
