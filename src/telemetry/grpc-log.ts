import { logVerbosity, setLogger, setLogVerbosity } from "@grpc/grpc-js";
import { LineLimit } from "./line-limit.js";
import type { Log } from "./log.js";

/**
 * Sends what the gRPC library logs to the log, for the whole process. The library
 * puts values of headers into its lines, so no line is passed on as it is: known ones
 * are said anew with the header's name alone, of others only the kind is named. Of each
 * kind there is one line in 10 seconds, then how many more there were.
 */
export function sendGrpcLogTo(log: Log): void {
  const limit = new LineLimit({
    linesMax: 1,
    windowMs: 10_000,
    keysMax: 8,
    onLeftOut: (line, leftOut) => log.debug("lines of the gRPC library were left out", { line, leftOut }),
  });
  const say = (level: "error" | "debug", kind: string, fields = {}) => {
    if (limit.admits(kind)) log[level](kind, fields);
  };
  const write = (level: "error" | "debug") => (message: unknown) => {
    const header = /^Failed to add metadata entry ([!-9;-~]{1,64}): /.exec(String(message))?.[1];
    if (header !== undefined) say("debug", "a header was ignored: gRPC does not allow its value", { header });
    else say(level, "the gRPC library logged a line, which is left out: it may hold values of a request");
  };
  setLogVerbosity(logVerbosity.ERROR);
  setLogger({ error: write("error"), info: write("debug"), debug: write("debug") });
}
