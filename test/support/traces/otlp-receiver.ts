import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { eventually } from "../eventually.js";

/** A span as a test looks at it. */
export interface ReceivedSpan {
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string | undefined;
  readonly kind: number;
  /** 2 is an error. */
  readonly statusCode: number | undefined;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly resource: Readonly<Record<string, unknown>>;
  readonly links: readonly { readonly traceId: string; readonly spanId: string }[];
  readonly durationNs: bigint;
}

export interface ReceivedRequest {
  readonly path: string | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** A collector that receives spans over OTLP/HTTP. */
export interface OtlpReceiver {
  readonly url: string;
  readonly requests: readonly ReceivedRequest[];
  /** The spans of all requests in JSON. */
  spans(): ReceivedSpan[];
  /** Waits for the first span with this name and these attributes. */
  span(method: string, attributes?: Readonly<Record<string, unknown>>): Promise<ReceivedSpan>;
  /** Answers with this status from now on; undefined: not at all. Requests that wait are answered too. */
  answer(status: number | undefined): void;
  /** Forgets the requests so far. */
  clear(): void;
  stop(): Promise<void>;
}

export async function startOtlpReceiver(): Promise<OtlpReceiver> {
  const requests: ReceivedRequest[] = [];
  const waiting: ServerResponse[] = [];
  let status: number | undefined = 200;
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    requests.push({ path: request.url, headers: request.headers, body: Buffer.concat(chunks) });
    if (status === undefined) waiting.push(response);
    else response.writeHead(status).end();
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const spans = () => requests.flatMap(({ headers, body }) => (isJson(headers) ? spansOf(body) : []));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    spans,
    span: (method, attributes = {}) =>
      eventually(() => {
        const wanted = Object.entries(attributes);
        const found = spans().find(
          (span) =>
            span.name === `splitcache.v1.EventCacheService/${method}` &&
            wanted.every(([name, value]) => span.attributes[name] === value),
        );
        if (found === undefined) throw new Error(`no span of ${method} with ${JSON.stringify(attributes)}`);
        return found;
      }),
    answer: (given) => {
      status = given;
      if (given === undefined) return;
      for (const response of waiting.splice(0)) response.writeHead(given).end();
    },
    clear: () => {
      requests.length = 0;
    },
    stop: async () => {
      server.closeAllConnections();
      await once(server.close(), "close");
    },
  };
}

function isJson(headers: IncomingHttpHeaders): boolean {
  return headers["content-type"] === "application/json";
}

type OtlpValue = {
  readonly stringValue?: string;
  readonly intValue?: number;
  readonly boolValue?: boolean;
  readonly arrayValue?: { readonly values: readonly OtlpValue[] };
};
type OtlpAttributes = readonly { readonly key: string; readonly value: OtlpValue }[];

interface OtlpRequest {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: OtlpAttributes };
    readonly scopeSpans: readonly { readonly spans: readonly OtlpSpan[] }[];
  }[];
}

interface OtlpSpan extends Pick<ReceivedSpan, "name" | "traceId" | "spanId" | "parentSpanId" | "kind"> {
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes: OtlpAttributes;
  readonly links?: ReceivedSpan["links"];
  readonly status: { readonly code: number };
}

function spansOf(body: Buffer): ReceivedSpan[] {
  const { resourceSpans } = JSON.parse(body.toString()) as OtlpRequest;
  return resourceSpans.flatMap(({ resource, scopeSpans }) =>
    scopeSpans
      .flatMap(({ spans }) => spans)
      .map((span) => ({
        name: span.name,
        traceId: span.traceId,
        spanId: span.spanId,
        parentSpanId: span.parentSpanId,
        kind: span.kind,
        statusCode: span.status.code,
        attributes: toRecord(span.attributes),
        resource: toRecord(resource.attributes),
        links: (span.links ?? []).map(({ traceId, spanId }) => ({ traceId, spanId })),
        durationNs: BigInt(span.endTimeUnixNano) - BigInt(span.startTimeUnixNano),
      })),
  );
}

function toRecord(attributes: OtlpAttributes): Record<string, unknown> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, toValue(value)]));
}

function toValue({ stringValue, intValue, boolValue, arrayValue }: OtlpValue): unknown {
  return stringValue ?? intValue ?? boolValue ?? arrayValue?.values.map(toValue);
}
