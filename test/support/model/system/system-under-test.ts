import type { Sidecar } from "./sidecar.js";

/** The sidecar that a scenario is about, and what only its surroundings can do to it. */
export interface SystemUnderTest {
  /** The sidecar that runs now; it fails on a reply that must not be given. */
  readonly sidecar: Sidecar;
  nowMs(): number;
  /** Lets the clock go on; nothing else happens. */
  advance(ms: number): void;
  /** Lets the periodic work happen: a sign of life is due for every subscriber. */
  tick(): void;
  /** Lets what is dead be taken out of memory. */
  sweep(): void;
  /** Ends the sidecar and starts another in its place, with nothing of the old one. */
  restart(): Promise<void>;
  /** Waits until it answers, if something befell what it stands on. */
  recover(): Promise<void>;
  /** Fails if it holds more than it may. */
  checkBounds(): void;
  /** Fails if it holds anything. */
  checkEmpty(): void;
  /** Fails if its answers do not fit together; no call is under way. */
  checkHistory(): void;
  close(): Promise<void>;
}
