/** Decides which client takes its next step. */
export interface Scheduler {
  /** Ends when it is the caller's turn again; whatever others do comes before that. */
  turn(label: string): Promise<void>;
}

/** The sidecar has gone while it was called: whether the call took effect is unknown. */
export class SidecarLost extends Error {}

/** What a call returned; undefined if the sidecar was lost meanwhile. */
export async function unlessLost<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call;
  } catch (failure) {
    if (failure instanceof SidecarLost) return undefined;
    throw failure;
  }
}
