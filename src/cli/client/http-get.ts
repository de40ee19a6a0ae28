import { once } from "node:events";
import { Agent, get, type IncomingMessage } from "node:http";
import { get as getOverTls, Agent as TlsAgent } from "node:https";
import { type ClientSecurity, checkTokenIsSafe, tlsOptionsOf } from "./security.js";

/** A page of metrics has some 100 lines for each homeserver; it is kept whole in memory. */
const REPLY_BYTES_MAX = 64 * 1024 * 1024;

export interface HttpReply {
  readonly status: number;
  readonly text: string;
  /** The time of the server's clock. */
  readonly date: string | undefined;
}

/**
 * Gets a page over HTTP. `fetch` would hold its signal weakly and may go through the proxy of the
 * environment; a separate agent does neither.
 */
export async function httpGet(
  url: string,
  signal: AbortSignal,
  security: ClientSecurity,
): Promise<HttpReply> {
  checkTokenIsSafe(security, new URL(url).host);
  const { tls, token } = security;
  const headers = token === undefined ? {} : { authorization: `Bearer ${token()}` };
  const request =
    tls === undefined
      ? get(url, { agent: new Agent(), signal, headers })
      : getOverTls(url, { agent: new TlsAgent(), signal, headers, ...tlsOptionsOf(tls) });
  const [response] = (await once(request, "response")) as [IncomingMessage];
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > REPLY_BYTES_MAX) throw new Error(`the page has more than ${REPLY_BYTES_MAX} bytes`);
  }
  const { statusCode = 0 } = response;
  return { status: statusCode, text: Buffer.concat(chunks).toString(), date: response.headers.date };
}
