import { type Command, Option } from "commander";
import { CliError } from "../cli-error.js";
import { abortScope } from "../client/abort-scope.js";
import { addExamples, addOutputOption, type OutputFlags, runCommand } from "../client/client-command.js";
import { httpGet } from "../client/http-get.js";
import { ExitCode } from "../exit-code.js";
import type { CliIo } from "../io/cli-io.js";
import { parseDurationMs } from "../io/duration.js";
import { parseMetrics, type Sample } from "../io/metrics-text.js";
import { formatTable } from "../io/table.js";

const DEFAULT_HTTP = "127.0.0.1:9464";

interface StatsFlags extends OutputFlags {
  readonly http?: string;
  readonly timeout: number;
  readonly all?: true;
}

/** `stats`: the sidecar's metrics. */
export function registerStats(program: Command, io: CliIo): void {
  const command = program
    .command("stats")
    .summary("show the sidecar's metrics")
    .description(
      "Reads the sidecar's /metrics over HTTP. The table shows what the sidecar counts of its own work, with " +
        "count and mean in place of histograms; --all and -o json show every sample.",
    )
    .option(
      "--http <address>",
      `where the metrics are, host:port (env: SPLITCACHE_HTTP, default: ${DEFAULT_HTTP})`,
    )
    .option("--all", "show every sample")
    .addOption(
      new Option("--timeout <duration>", "how long it may take")
        .argParser(parseDurationMs)
        .default(5000, "5s"),
    );
  addOutputOption(command);
  addExamples(command, ["stats", "stats --http 127.0.0.1:9464 -o json"]);
  command.action((flags: StatsFlags) => {
    const address = flags.http ?? io.env["SPLITCACHE_HTTP"] ?? DEFAULT_HTTP;
    return runCommand(io, address, async () => {
      const samples = parseMetrics(await fetchMetrics(address, flags.timeout, io.signal));
      if (flags.output === "json") {
        for (const { name, labels, value } of samples) {
          io.stdout.write(`${JSON.stringify({ name, labels: Object.fromEntries(labels), value })}\n`);
        }
      } else {
        const rows = flags.all === true ? samples.map(row) : summary(samples);
        io.stdout.write(formatTable(["METRIC", "LABELS", "VALUE"], rows, io.columns));
      }
      return ExitCode.done;
    });
  });
}

async function fetchMetrics(address: string, timeoutMs: number, signal: AbortSignal): Promise<string> {
  const url = `http://${address}/metrics`;
  if (!URL.canParse(url)) throw new CliError(ExitCode.usage, `address ${address}: expected host:port`);
  const limit = abortScope(signal, timeoutMs);
  try {
    const { status, text } = await httpGet(url, limit.signal);
    if (status !== 200) throw new CliError(ExitCode.failure, `${url} answers ${status}`);
    return text;
  } catch (failure) {
    if (failure instanceof CliError) throw failure;
    const problem = limit.signal.aborted ? `no answer from ${url} in time` : `no metrics at ${url}`;
    throw new CliError(ExitCode.unavailable, problem, failure);
  } finally {
    limit.end();
  }
}

/** The product's own metrics; of a histogram its count and mean, which is what a person reads. */
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
