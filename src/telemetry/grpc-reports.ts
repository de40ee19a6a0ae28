import { logVerbosity, setLogger, setLogVerbosity } from "@grpc/grpc-js";
import { LineLimit } from "./line-limit.js";
import type { Logger } from "./logger.js";

/**
 * Redirects the log of the gRPC library to the log, for the whole process. The
 * library's lines contain header values, so none is copied: a known line is replaced
 * by a line with the header's name only, any other line by a fixed text. Of each kind
 * one line is logged in 10 seconds, then the number of suppressed lines.
 */
export function reportGrpcLibrary(logger: Logger): void {
  const limit = new LineLimit({
    linesMax: 1,
    windowMs: 10_000,
    keysMax: 8,
    onSuppressed: (line, suppressed) =>
      logger.debug("lines of the gRPC library were suppressed", { line, suppressed }),
  });
  const report = (level: "error" | "debug", kind: string, fields = {}) => {
    if (limit.admits(kind)) logger[level](kind, fields);
  };
  const write = (level: "error" | "debug") => (message: unknown) => {
    const header = /^Failed to add metadata entry ([!-9;-~]{1,64}): /.exec(String(message))?.[1];
    if (header !== undefined) {
      report("debug", "a header was ignored: gRPC does not allow its value", { header });
    } else
      report(level, "the gRPC library logged a line; its text is omitted, as it may contain request data");
  };
  setLogVerbosity(logVerbosity.ERROR);
  setLogger({ error: write("error"), info: write("debug"), debug: write("debug") });
}
