import { serviceDefinition } from "../handlers/service-definition.js";
import type { CallLabels, CallObserver } from "./call-observer.js";

const { path } = serviceDefinition.getEventsStream;
const [, service = "", method = ""] = path.split("/");
const REQUEST: CallLabels = { type: "stream_request", service, method, path };

/** Counts a request that has arrived on a read stream. Returns what counts its end, to be called once. */
export function beginStreamRequest(
  observer: CallObserver,
  clock: () => number,
): (statusCode: number) => void {
  const arrivedMs = clock();
  observer.started(REQUEST);
  return (statusCode) => observer.handled(REQUEST, statusCode, (clock() - arrivedMs) / 1000);
}
