import { errorOf } from "../errors.js";
import { epochOf, type Position } from "../position.js";
import { type AnnouncementCall, callsOf } from "./announcement.js";

/** Makes one call of an announcement, once, with a short deadline. */
export type AnnounceCall = (call: AnnouncementCall) => Promise<Position>;

/** Makes all calls of an announcement. Returns the epoch in which all were answered OK, if it is one. */
export async function announceAll(announcement: string, call: AnnounceCall): Promise<string | undefined> {
  const epochs = new Set<string>();
  for (const each of callsOf(announcement)) {
    try {
      epochs.add(epochOf(await call(each)));
    } catch (failure) {
      if (errorOf(failure).code !== "INVALID_ARGUMENT") return undefined;
      // It would be refused each time. A purge covers it.
      return await call({ kind: "homeserver" }).then(epochOf, () => undefined);
    }
  }
  const [epoch] = epochs;
  return epochs.size === 1 ? epoch : undefined;
}
