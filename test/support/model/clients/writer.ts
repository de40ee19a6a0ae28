import { type Scheduler, SidecarLost } from "../runs/scheduler.js";
import { makeChange, type Plan } from "./changes.js";
import type { TestHomeserver } from "./test-homeserver.js";

export interface WritePlan {
  readonly plan: Plan;
  /** Whether its call carries the position that it had before its transaction. */
  readonly carriesPosition: boolean;
  /** How often its call takes effect, after the first time as a repetition. */
  readonly calls: number;
}

/** A writer: it calls after its commit, until its call is OK. */
export async function write(
  homeserver: TestHomeserver,
  { plan, carriesPosition, calls }: WritePlan,
  scheduler: Scheduler,
): Promise<void> {
  const asOf = carriesPosition ? await homeserver.position() : undefined;
  const change = makeChange(homeserver, plan);
  await scheduler.turn(`${homeserver.name}: a writer commits ${plan.kind}`);
  change.commit();
  for (let made = 0, lost = 0; made < calls && lost < PATIENCE; ) {
    await scheduler.turn(`${homeserver.name}: a writer's ${plan.kind} arrives`);
    try {
      await change.announce(asOf);
      made += 1;
    } catch (failure) {
      if (!(failure instanceof SidecarLost)) throw failure;
      lost += 1;
    }
  }
}

/** A writer whose calls were lost so often is not heard of again. */
const PATIENCE = 5;
