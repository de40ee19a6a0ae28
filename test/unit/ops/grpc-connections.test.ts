import { Server } from "@grpc/grpc-js";
import { expect, it } from "vitest";
import { grpcListenersOf } from "../../../src/ops/grpc-connections.js";

it("takes a connection for each call that can be admitted, and some more", () => {
  const capacities = { subscribersMax: 2000, readStreamsMax: 1000, callsInFlightMax: 256 };
  expect(grpcListenersOf(new Server(), capacities)().maxConnections).toBe(4096);
});
