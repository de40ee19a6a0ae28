import { CliError, ExitCode } from "../exit-code.js";
import { abortScope } from "./abort.js";
import { type HttpReply, httpGet } from "./http-get.js";
import type { ClientSecurity } from "./security.js";

export interface PageRequest {
  /** Of the HTTP listener. */
  readonly address: string;
  readonly path: string;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  readonly security: ClientSecurity;
}

/** Gets a page of the sidecar's HTTP listener; throws a CliError that names its URL. */
export async function fetchPage(request: PageRequest): Promise<HttpReply> {
  const { address, path, timeoutMs, signal, security } = request;
  const url = `${security.tls === undefined ? "http" : "https"}://${address}${path}`;
  const limit = abortScope(signal, timeoutMs);
  try {
    const reply = await httpGet(url, limit.signal, security);
    if (reply.status === 200) return reply;
    if (reply.status === 401 || reply.status === 403)
      throw new CliError(ExitCode.failure, `${url} ${requirement(path)}`);
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

function requirement(path: string): string {
  const roles = path === "/metrics" ? "role metrics or operator" : "role operator";
  return `requires the credentials of a client of ${roles}: give --token-file, or --tls-cert-file and --tls-key-file`;
}
