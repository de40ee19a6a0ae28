import { describe, expect, it } from "vitest";
import type { Epoch } from "../../../../src/core/types.js";
import { HomeserverKeys } from "../../../../src/store/redis/keys.js";
import { RemoteHomeserver } from "../../../../src/store/redis/remote-homeserver.js";
import { remoteState } from "../../../support/redis/remote-state.js";
import { ALPHA, storeLogInto } from "../../../support/store-harness.js";

const stateAt = (epoch: string, sequence: number) => remoteState({ epoch: epoch as Epoch, sequence });

describe("what is known of a homeserver", () => {
  const unused = () => undefined as never;
  const newHomeserver = (logged: string[] = []) =>
    new RemoteHomeserver({
      name: ALPHA,
      nowMs: 0,
      keys: new HomeserverKeys("test", ALPHA),
      log: storeLogInto(logged),
      makeLookups: unused,
      makeFollower: unused,
    });

  it("is what the last call was told, whenever the reply to one before it is confirmed", () => {
    const homeserver = newHomeserver();
    const [change, read] = [homeserver.numberCall(), homeserver.numberCall()];
    homeserver.learn(stateAt("b", 0), read);
    homeserver.learn(stateAt("a", 7), change);
    expect(homeserver.position).toEqual({ epoch: "b", sequence: 0 });
  });

  it("is told as lost where it was known, and begins anew", () => {
    const logged: string[] = [];
    const homeserver = newHomeserver(logged);
    homeserver.report({ ...stateAt("a", 0), started: "started" });
    homeserver.learn(stateAt("a", 0), homeserver.numberCall());
    homeserver.report({ ...stateAt("b", 0), started: "started" });
    homeserver.report({ ...stateAt("c", 0), started: "replaced" });
    expect(logged).toEqual([`${ALPHA} started`, `${ALPHA} lost`, `${ALPHA} replaced`]);
  });

  it("never goes back within an epoch", () => {
    const homeserver = newHomeserver();
    homeserver.learn(stateAt("a", 7), homeserver.numberCall());
    homeserver.learn(stateAt("a", 6), homeserver.numberCall());
    expect(homeserver.position).toEqual({ epoch: "a", sequence: 7 });
  });
});
