import { abortScope } from "../client/abort.js";
import { defaultHttpAddress, HTTP_ADDRESS_HELP, parseHttpAddress } from "../client/address.js";
import { httpGet } from "../client/http-get.js";
import { type ClientSecurity, securityFlags, securityOf } from "../client/security.js";
import { localCommand } from "../command.js";
import { CliError, ExitCode } from "../exit-code.js";
import { duration, onOff, parsed } from "../flags.js";
import { parseMetrics, type Sample } from "../io/metrics-text.js";
import { formatTable } from "../io/text.js";

/** `stats`: the sidecar's metrics. */
export const stats = localCommand({
  name: "stats",
  summary: "Shows the sidecar's metrics",
  description:
    "Reads the sidecar's /metrics over HTTP. Shows the sidecar's own metrics in a table, with count and mean " +
    "in place of histograms. --all and -o json show every sample.",
  flags: {
    http: parsed("<address>", "Names the HTTP listener: host:port or http://host:port.", parseHttpAddress, {
      note: HTTP_ADDRESS_HELP,
    }),
    all: onOff("Shows every sample."),
    timeout: duration("Limits the time of the request.", "5s"),
    ...securityFlags,
  },
  examples: ["stats", "stats --http 127.0.0.1:9464 -o json"],
  run: async ({ io, flags, print }) => {
    const address = flags.http ?? defaultHttpAddress(io.env);
    const samples = parseMetrics(
      await fetchMetrics(address, flags.timeout, io.signal, securityOf(flags, io.env)),
    );
    const rows = flags.all ? samples.map(row) : summary(samples);
    print(
      samples.map(({ name, labels, value }) => ({ name, labels: Object.fromEntries(labels), value })),
      formatTable(["METRIC", "LABELS", "VALUE"], rows, io.columns),
    );
    return ExitCode.done;
  },
});

async function fetchMetrics(
  address: string,
  timeoutMs: number,
  signal: AbortSignal,
  security: ClientSecurity,
): Promise<string> {
  const url = `${security.tls === undefined ? "http" : "https"}://${address}/metrics`;
  const limit = abortScope(signal, timeoutMs);
  try {
    const { status, text } = await httpGet(url, limit.signal, security);
    if (status !== 200) throw new CliError(ExitCode.failure, `${url} answered with HTTP status ${status}`);
    return text;
  } catch (failure) {
    if (failure instanceof CliError) throw failure;
    const reason = failure instanceof Error ? failure.message : String(failure);
    const problem = limit.signal.aborted ? "did not answer in time" : `cannot be read: ${reason}`;
    throw new CliError(ExitCode.unavailable, `${url} ${problem}`, failure);
  } finally {
    limit.end();
  }
}

/** The sidecar's own metrics; each histogram as its count and mean. */
function summary(samples: readonly Sample[]): string[][] {
  const sums = new Map(
    samples.filter(({ name }) => name.endsWith("_sum")).map((sample) => [key(sample, "_sum"), sample.value]),
  );
  return samples
    .filter(({ name }) => /^(splitcache|grpc_server)_/.test(name) && !/_(bucket|sum)$/.test(name))
    .flatMap((sample) => {
      const sum = sums.get(key(sample, "_count"));
      if (sum === undefined || sample.value === 0) return [row(sample)];
      const name = sample.name.replace(/_count$/, "_mean");
      return [row(sample), row({ ...sample, name, value: sum / sample.value })];
    });
}

/** Names the histogram that a sample is part of. */
function key(sample: Sample, suffix: string): string {
  return `${sample.name.slice(0, -suffix.length)}{${labelText(sample)}}`;
}

function row(sample: Sample): string[] {
  const { value } = sample;
  return [sample.name, labelText(sample), Number.isInteger(value) ? String(value) : value.toPrecision(4)];
}

function labelText({ labels }: Sample): string {
  return Array.from(labels, ([name, value]) => `${name}=${value}`).join(" ");
}
