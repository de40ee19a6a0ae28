import type { Step } from "../explore.js";
import type { Logs } from "./log-rules.js";
import { type Fill, IDLE_FILLER, type LogState, NONE, type Sidecar, withSidecar } from "./log-state.js";

/** Whether a sidecar answers a read of the event from its cache at this moment. */
export function serves({ rules }: Logs, sidecar: Sidecar): boolean {
  if (sidecar.entry === NONE || sidecar.place === undefined) return false;
  return !rules.readsNeedLease || holdsLease(rules, sidecar);
}

function holdsLease(rules: Logs["rules"], { lease, flag }: Sidecar): boolean {
  return rules.judgedAtRead ? lease > 0 : flag;
}

/** A process that fills the cache from its database; its put may go to another sidecar than the position came from. */
export function fillerSteps(logs: Logs, state: LogState): Step<LogState>[] {
  const { asOf, value } = state.filler;
  if (asOf === undefined)
    return state.sidecars.flatMap(({ lease, place }, index) =>
      lease === 0 || place === undefined
        ? []
        : [
            {
              label: `the filler gets the position of sidecar ${index + 1}`,
              state: { ...state, filler: { asOf: place, value: NONE } },
            },
          ],
    );
  if (value === NONE)
    return [
      {
        label: "the filler reads the event in the database",
        state: { ...state, filler: { asOf, value: state.truth } },
      },
    ];
  const fill = { asOf, value };
  const done = { ...state, filler: IDLE_FILLER };
  const steps: Step<LogState>[] = [{ label: "the filler gives up", state: done }];
  state.sidecars.forEach((sidecar, index) => {
    if (!holdsLease(logs.rules, sidecar) || !accepts(logs, sidecar, fill)) return;
    const put = withTier(logs, withSidecar(done, index, { entry: value }), fill);
    steps.push({ label: `sidecar ${index + 1} takes the filler's put`, state: put });
  });
  return steps;
}

/** What a sidecar does with its cache and the tier: M6. */
export function tierSteps(logs: Logs, state: LogState, index: number): Step<LogState>[] {
  const sidecar = state.sidecars[index]!;
  const name = `sidecar ${index + 1}`;
  const { place, entry, outgoing, through } = sidecar;
  const steps: Step<LogState>[] = [];
  if (place === undefined) return steps;
  if (
    through !== undefined &&
    !logs.rules.throughInStep &&
    entry !== NONE &&
    place.sequence > through.at.sequence
  ) {
    const late = withSidecar(state, index, { entry: through.value, through: undefined });
    steps.push({ label: `${name} writes the value of change ${through.at.sequence} through`, state: late });
  }
  if (!logs.scope.tier) return steps;
  if (outgoing !== NONE) {
    const sent = withTier(logs, withSidecar(state, index, { outgoing: NONE }), {
      asOf: place,
      value: outgoing,
    });
    steps.push({ label: `${name} sends what it had looked up to the tier, as of now`, state: sent });
  }
  if (!holdsLease(logs.rules, sidecar)) return steps;
  if (entry !== NONE) {
    const back = logs.rules.writeBackWithLookup
      ? withTier(logs, state, { asOf: place, value: entry })
      : withSidecar(state, index, { outgoing: entry });
    return [...steps, { label: `${name} looks the event up and writes it back`, state: back }];
  }
  for (const fill of state.tier) {
    if (logs.rules.tierIsFenced && !accepts(logs, sidecar, fill)) continue;
    const filled = withSidecar(state, index, { entry: fill.value });
    steps.push({
      label: `${name} takes version ${fill.value} as of ${fill.asOf.sequence} from the tier`,
      state: filled,
    });
  }
  return steps;
}

function withTier({ scope }: Logs, state: LogState, fill: Fill): LogState {
  if (!scope.tier) return state;
  const { epoch, sequence } = fill.asOf;
  const known = state.tier.some(
    ({ asOf, value }) => asOf.epoch === epoch && asOf.sequence === sequence && value === fill.value,
  );
  return known ? state : { ...state, tier: [...state.tier, fill] };
}

/** M5: the fence, by the local copy of the log. A position ahead of the copy waits. */
function accepts({ rules }: Logs, { place, reach, names }: Sidecar, { asOf }: Fill): boolean {
  if (place === undefined) return false;
  if (rules.fenceEpoch && asOf.epoch !== place.epoch) return false;
  if (asOf.sequence > place.sequence) return false;
  if (rules.fenceReaches && asOf.sequence < reach) return false;
  return !rules.fence || !names.slice(Math.max(0, asOf.sequence - reach)).includes(true);
}
