import { expect, it } from "vitest";
import { connectionBounds, openFilesMin, PROBE_CONNECTIONS_MAX } from "../../../src/net/connection-bounds.js";

const CAPACITIES = { subscribersMax: 2000, readStreamsMax: 1000, callsInFlightMax: 256 };

it("has a connection for each call that can be admitted, and some more", () => {
  expect(connectionBounds(CAPACITIES, Number.POSITIVE_INFINITY, 2)).toEqual({
    grpc: 4096,
    grpcWanted: 4096,
  });
});

it.each([0, 1, 2])("keeps the descriptors of %i ports for probes and metrics free", (probePorts) => {
  const { grpc } = connectionBounds(CAPACITIES, 1024, probePorts) ?? { grpc: 0 };
  expect(1024 - grpc).toBe(64 + probePorts * PROBE_CONNECTIONS_MAX);
});

it("refuses a limit of open files with which gRPC has next to nothing", () => {
  const least = openFilesMin(2);
  expect(connectionBounds(CAPACITIES, least, 2)).toEqual({ grpc: 16, grpcWanted: 4096 });
  expect(connectionBounds(CAPACITIES, least - 1, 2)).toBeUndefined();
});
