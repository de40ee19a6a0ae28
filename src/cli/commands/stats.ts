import { defaultHttpAddress, HTTP_ADDRESS_HELP, parseHttpAddress } from "../client/address.js";
import { fetchPage } from "../client/fetch-page.js";
import { securityFlags, securityOf } from "../client/security.js";
import { localCommand } from "../command.js";
import { ExitCode } from "../exit-code.js";
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
    const request = { address, path: "/metrics", timeoutMs: flags.timeout, signal: io.signal };
    const { text } = await fetchPage({ ...request, security: securityOf(flags, io.env) });
    const samples = parseMetrics(text);
    const rows = flags.all ? samples.map(row) : summary(samples);
    print(
      samples.map(({ name, labels, value }) => ({ name, labels: Object.fromEntries(labels), value })),
      formatTable(["METRIC", "LABELS", "VALUE"], rows, io.columns),
    );
    return ExitCode.done;
  },
});

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
