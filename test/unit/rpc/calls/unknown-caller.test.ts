import type { ServerInterceptingCallInterface } from "@grpc/grpc-js";
import { status } from "@grpc/grpc-js";
import { expect, it } from "vitest";
import { callRefusal } from "../../../../src/auth/principal.js";
import type { CallContext } from "../../../../src/rpc/calls/call-policy.js";
import { createInterceptor } from "../../../../src/rpc/calls/interceptor.js";
import { serviceDefinition } from "../../../../src/rpc/handlers/service-definition.js";

it("is refused where calls need credentials, if grpc-js does not show the stream of its call", () => {
  const codes: number[] = [];
  const call = {
    start: () => codes.push(-1),
    sendStatus: ({ code }: { code: number }) => codes.push(code),
  } as unknown as ServerInterceptingCallInterface;
  const context = {
    access: {},
    inFlight: { admitMessage: () => ({ release: () => {} }), calls: { withdraw: () => {} } },
    observer: { started: () => {}, handled: () => {} },
    clock: () => 0,
    requestTimeLimitMs: 1000,
    callTimeLimitMs: 1000,
  } as unknown as CallContext;
  createInterceptor(context)(serviceDefinition.purgeRoom, call).start({
    onReceiveMetadata: () => {},
    onReceiveMessage: () => {},
    onReceiveHalfClose: () => {},
    onCancel: () => {},
  });
  expect(codes).toEqual([status.INTERNAL]);
});

it("may call each method of the contract with the role homeserver, and no other method", () => {
  const rights = { name: "a", role: "homeserver", homeservers: new Set(["a"]) } as const;
  const refused = (path: string) => callRefusal({ rights }, path)?.kind;
  for (const { path } of Object.values(serviceDefinition)) expect(refused(path)).toBeUndefined();
  expect(refused("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")).toBeUndefined();
  for (const path of ["/splitcache.v1.EventCacheService/New", "/splitcache.v2.Other/GetEvents"]) {
    expect(refused(path)).toBe("permissionDenied");
  }
});
