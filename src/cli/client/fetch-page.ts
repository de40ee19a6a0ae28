import { CliError, ExitCode } from "../exit-code.js";
import { abortScope } from "./abort.js";
import { type HttpReply, httpGet } from "./http-get.js";

export interface PageRequest {
  /** Of the HTTP listener. */
  readonly address: string;
  readonly path: string;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** Gets a page of the sidecar's HTTP listener; throws a CliError that names its URL. */
export async function fetchPage({ address, path, timeoutMs, signal }: PageRequest): Promise<HttpReply> {
  const url = `http://${address}${path}`;
  const limit = abortScope(signal, timeoutMs);
  try {
    const reply = await httpGet(url, limit.signal);
    if (reply.status === 200) return reply;
    throw new CliError(ExitCode.failure, `${url} answered with HTTP status ${reply.status}`);
  } catch (failure) {
    if (failure instanceof CliError) throw failure;
    const reason = failure instanceof Error ? failure.message : String(failure);
    const problem = limit.signal.aborted ? "did not answer in time" : `cannot be read: ${reason}`;
    throw new CliError(ExitCode.unavailable, `${url} ${problem}`, failure);
  } finally {
    limit.end();
  }
}
