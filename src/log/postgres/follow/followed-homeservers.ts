import type { LossReason } from "../membership/membership.js";
import type { FollowedHomeserver } from "./followed-homeserver.js";

/** The homeservers that this sidecar follows. */
export class FollowedHomeservers {
  readonly #byKey = new Map<string, FollowedHomeserver>();

  get all(): readonly FollowedHomeserver[] {
    return [...this.#byKey.values()];
  }

  /** `key`: in hexadecimal digits, as notifications name a homeserver. */
  get(key: string): FollowedHomeserver | undefined {
    return this.#byKey.get(key);
  }

  add(followed: FollowedHomeserver): void {
    this.#byKey.set(keyOf(followed), followed);
  }

  /** A homeserver that left may have been followed again meanwhile. */
  remove(followed: FollowedHomeserver): void {
    if (this.get(keyOf(followed)) === followed) this.#byKey.delete(keyOf(followed));
  }

  /** The lease was given up. */
  drop(reason: LossReason): void {
    for (const followed of this.all) followed.drop(reason);
  }

  /** The lease is live again. */
  revive(): void {
    for (const followed of this.all) if (followed.isCurrent()) followed.becameCurrent();
  }
}

function keyOf(followed: FollowedHomeserver): string {
  return followed.key.toString("hex");
}
