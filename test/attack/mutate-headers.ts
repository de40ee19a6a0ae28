import { type Header, headerBlock } from "./http2/frames.js";
import type { Random } from "./random.js";

const AUTHORITY = "127.0.0.1";
const blocks = new Map<string, Buffer>();

/** The header block of a call as clients send it. */
export function validHeaders(path: string): Buffer {
  let block = blocks.get(path);
  if (block === undefined) {
    block = headerBlock(headersOf(path));
    blocks.set(path, block);
  }
  return block;
}

export interface MutatedHeaders {
  readonly block: Buffer;
  readonly name: string;
  /** The contract demands that the call not succeed. */
  readonly isRefused: boolean;
}

/** The headers of a call, changed in one way. */
export function mutateHeaders(path: string, random: Random): MutatedHeaders {
  const { name, isRefused = false, apply } = random.pick(MUTATIONS);
  return { block: headerBlock(apply(headersOf(path), random)), name, isRefused };
}

function headersOf(path: string): Header[] {
  return [
    [":method", "POST"],
    [":scheme", "http"],
    [":path", path],
    [":authority", AUTHORITY],
    ["te", "trailers"],
    ["content-type", "application/grpc"],
  ];
}

interface Mutation {
  readonly name: string;
  readonly isRefused?: boolean;
  apply(headers: readonly Header[], random: Random): Header[];
}

const MUTATIONS: readonly Mutation[] = [
  {
    name: "grpc-encoding",
    isRefused: true,
    apply: (headers, random) => [
      ...headers,
      ["grpc-encoding", random.pick(["gzip", "deflate", "br", "", "identity,gzip", "IDENTITY"])],
    ],
  },
  {
    name: "grpc-timeout of nothing",
    apply: (headers, random) => [
      ...headers,
      ["grpc-timeout", random.pick(["0S", "1n", "1u", "0m", "1m", "00000001n"])],
    ],
  },
  {
    name: "grpc-timeout that is long",
    apply: (headers, random) => [
      ...headers,
      ["grpc-timeout", random.pick(["99999999H", "99999999M", "99999999S", "100S"])],
    ],
  },
  {
    name: "grpc-timeout that is none",
    isRefused: true,
    apply: (headers, random) => [
      ...headers,
      [
        "grpc-timeout",
        random.pick(["", "1", "S", "-1S", "1.5S", "999999999S", "1s", "1S ,1S", "NaNm", "\u00e9S"]),
      ],
    ],
  },
  {
    name: "content-type",
    isRefused: true,
    apply: (headers, random) =>
      changed(headers, "content-type", random.pick(["application/json", "", "text/plain", "application/x"])),
  },
  { name: "no content-type", isRefused: true, apply: (headers) => without(headers, "content-type") },
  {
    name: "content-type of another codec",
    apply: (headers, random) =>
      changed(
        headers,
        "content-type",
        random.pick([
          "application/grpc+json",
          "application/grpc;x",
          "application/grpc-web",
          "application/grpc+proto",
        ]),
      ),
  },
  {
    name: "another HTTP method",
    apply: (headers, random) =>
      changed(headers, ":method", random.pick(["GET", "PUT", "OPTIONS", "HEAD", "DELETE", "post", "X"])),
  },
  {
    name: "CONNECT",
    apply: (headers) => [
      [":method", "CONNECT"],
      [":authority", AUTHORITY],
      ...headers.filter(([name]) => !name.startsWith(":")),
    ],
  },
  {
    name: "another path",
    isRefused: true,
    apply: (headers, random) =>
      changed(
        headers,
        ":path",
        random.pick([
          "/",
          "*",
          "/splitcache.v1.EventCacheService/",
          "/splitcache.v1.EventCacheService/getEvents",
          "//",
          "/a/b/c?d#e",
          `/${"a".repeat(random.below(12_000))}`,
          "/__proto__/constructor",
          "/%00/\u00e9",
        ]),
      ),
  },
  { name: "no :path", isRefused: true, apply: (headers) => without(headers, ":path") },
  { name: "no :authority", apply: (headers) => without(headers, ":authority") },
  {
    name: "an odd :authority",
    apply: (headers, random) =>
      changed(
        headers,
        ":authority",
        random.pick(["", "/run/socket", "a b", "[::1", "localhost:99999", "x".repeat(4000)]),
      ),
  },
  {
    name: "another scheme",
    apply: (headers, random) => changed(headers, ":scheme", random.pick(["https", "ftp", ""])),
  },
  { name: "a pseudo-header twice", isRefused: true, apply: (headers) => [headers[2]!, ...headers] },
  {
    name: "a pseudo-header at the end",
    isRefused: true,
    apply: (headers) => [...headers.slice(1), headers[0]!],
  },
  { name: "an unknown pseudo-header", isRefused: true, apply: (headers) => [[":unknown", "x"], ...headers] },
  { name: "no te", apply: (headers) => without(headers, "te") },
  { name: "another te", apply: (headers) => changed(headers, "te", "gzip") },
  { name: "a name in capitals", isRefused: true, apply: (headers) => [...headers, ["X-Upper", "x"]] },
  {
    name: "a header of connections",
    isRefused: true,
    apply: (headers, random) => [
      ...headers,
      random.pick([
        ["connection", "close"],
        ["transfer-encoding", "chunked"],
        ["upgrade", "h2c"],
      ] as const),
    ],
  },
  {
    name: "a content-length that lies",
    apply: (headers, random) => [
      ...headers,
      ["content-length", random.pick(["0", "1", "-1", "99999999999999999999", "x"])],
    ],
  },
  {
    name: "many headers",
    apply: (headers, random) => [
      ...headers,
      ...Array.from(
        { length: random.between(10, 120) },
        (_, index): Header => [`x-${index}`, "y".repeat(random.below(50))],
      ),
    ],
  },
  {
    name: "a long header",
    apply: (headers, random) => [...headers, ["x-long", "y".repeat(random.between(1000, 70_000))]],
  },
  {
    name: "a binary header that is none",
    apply: (headers, random) => [...headers, ["x-bin", random.pick(["!", "=", "A", "QUJD,QUJD", "\u00e9"])]],
  },
  {
    name: "a header that is not ASCII",
    apply: (headers, random) => [
      ...headers,
      ["authorization", Buffer.concat([Buffer.from("Bearer "), Buffer.from([random.between(128, 255)])])],
    ],
  },
  {
    name: "a header with control characters",
    apply: (headers, random) => [...headers, ["x-control", Buffer.from([65, random.below(32), 65])]],
  },
  {
    name: "headers that gRPC reserves",
    apply: (headers, random) => [
      ...headers,
      random.pick([
        ["grpc-status", "13"],
        ["grpc-message", "%"],
        ["grpc-accept-encoding", "gzip,deflate"],
        ["grpc-previous-rpc-attempts", "x"],
        ["grpc-trace-bin", "!"],
        ["__proto__", "x"],
        ["cookie", "a; b; c"],
        ["host", "elsewhere.example"],
      ] as const),
    ],
  },
];

function without(headers: readonly Header[], removed: string): Header[] {
  return headers.filter(([name]) => name !== removed);
}

function changed(headers: readonly Header[], changedName: string, value: string): Header[] {
  return headers.map(([name, before]): Header => [name, name === changedName ? value : before]);
}
