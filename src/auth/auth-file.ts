import { dirname, resolve } from "node:path";
import { LineCounter, parseDocument } from "yaml";
import { z } from "zod";
import type { Problem } from "../config/settings.js";
import { filePath, homeserverName } from "../config/values.js";
import { ROLES } from "./principal.js";

/** Bounds of one auth file: reading and checking it takes milliseconds. */
const CLIENTS_MAX = 10_000;
const HOMESERVERS_MAX = 10_000;
/** Of one client: several, so that credentials can be rotated. */
const CREDENTIALS_MAX = 16;

const text = (bytesMax: number) =>
  z
    .string("must be text")
    .refine(
      (value) => value !== "" && Buffer.byteLength(value) <= bytesMax,
      `must have 1 to ${bytesMax} bytes`,
    );
const items = <Item extends z.ZodType>(item: Item, max: number) =>
  z.array(item, "must be a list").max(max, `must have at most ${max} items`);
const list = <Item extends z.ZodType>(item: Item, max: number) => items(item, max).default([]);

const clientSchema = z.strictObject(
  {
    name: text(255),
    role: z.enum(ROLES, `must be one of ${ROLES.join(", ")}`),
    // An empty list is refused: nobody must take it for none, or for all.
    homeservers: items(homeserverName(), HOMESERVERS_MAX).min(1, "must not be empty").optional(),
    token_files: list(filePath(), CREDENTIALS_MAX),
    tokens_sha256: list(
      z.string("must be text").regex(/^[0-9a-f]{64}$/i, "must be SHA-256 in 64 hexadecimal digits"),
      CREDENTIALS_MAX,
    ),
    certificate_names: list(text(1024), CREDENTIALS_MAX),
    unix_sockets: list(filePath(), CREDENTIALS_MAX),
  },
  { error: unknownKeys },
);

const schema = z.strictObject(
  { clients: z.array(z.unknown(), "must be a list").min(1, "must not be empty").max(CLIENTS_MAX) },
  { error: unknownKeys },
);

/** A client as the file describes it. */
export interface DescribedClient extends z.output<typeof clientSchema> {
  /** Where it stands, such as `auth.yaml, clients[2]`. */
  readonly place: string;
}

/** Reads the text of an auth file. Paths in it are relative to its folder. */
export function parseAuthFile(
  path: string,
  content: string,
): { readonly clients: readonly DescribedClient[]; readonly problems: readonly Problem[] } {
  const lines = new LineCounter();
  const document = parseDocument(content, { lineCounter: lines, prettyErrors: false });
  if (document.errors.length > 0) {
    // The library's messages may quote the file.
    const problems = document.errors.map(({ pos, code }) => ({
      place: `${path}, line ${lines.linePos(pos[0]).line}`,
      problem: `is not valid YAML (${code.toLowerCase().replaceAll("_", " ")})`,
    }));
    return { clients: [], problems };
  }
  const parsed = schema.safeParse(toValue(document));
  if (!parsed.success) return { clients: [], problems: problemsOf(path, parsed.error, []) };
  const inFolder = (file: string) => resolve(dirname(path), file);
  const clients: DescribedClient[] = [];
  const problems: Problem[] = [];
  // One by one, so that an error of one client does not hide what is wrong with the others.
  for (const [index, text] of parsed.data.clients.entries()) {
    const { success, data: client, error } = clientSchema.safeParse(text);
    if (!success) {
      problems.push(...problemsOf(path, error, ["clients", index]));
      continue;
    }
    clients.push({
      ...client,
      token_files: client.token_files.map(inFolder),
      tokens_sha256: client.tokens_sha256.map((digest) => digest.toLowerCase()),
      unix_sockets: client.unix_sockets.map(inFolder),
      place: `${path}, clients[${index}] (${client.name})`,
    });
  }
  return { clients, problems: [...problems, ...clients.flatMap(incompleteness)] };
}

function problemsOf(path: string, error: z.ZodError, within: readonly PropertyKey[]): Problem[] {
  return error.issues.map((issue) => {
    const place = [...within, ...issue.path];
    return {
      place: `${path}, ${place.length === 0 ? "the file" : placeOf(place)}`,
      problem: issue.message,
    };
  });
}

function incompleteness(client: DescribedClient): Problem[] {
  const { place, role, homeservers, token_files, tokens_sha256, certificate_names, unix_sockets } = client;
  const problems: Problem[] = [];
  if (role === "metrics") problems.push(...unusable(client));
  else if (role !== "operator" && homeservers === undefined) {
    problems.push({ place, problem: `homeservers is required for the role ${role}` });
  }
  if (token_files.length + tokens_sha256.length + certificate_names.length + unix_sockets.length === 0) {
    const problem = "has no credentials: give token_files, tokens_sha256, certificate_names or unix_sockets";
    problems.push({ place, problem });
  }
  return problems;
}

/** What a client that may only read /metrics has no use for. Ignored keys would look like limits. */
function unusable({ place, homeservers, unix_sockets }: DescribedClient): Problem[] {
  const problems: Problem[] = [];
  if (homeservers !== undefined) {
    const problem = "homeservers must be left out for the role metrics: the metrics show all homeservers";
    problems.push({ place, problem });
  }
  if (unix_sockets.length > 0) {
    const problem =
      "unix_sockets must be left out for the role metrics: /metrics is served at the address of --http only";
    problems.push({ place, problem });
  }
  return problems;
}

/** Aliases are not followed: a small file could become a huge value. */
function toValue(document: ReturnType<typeof parseDocument>): unknown {
  try {
    return document.toJS({ maxAliasCount: 0 });
  } catch {
    return undefined;
  }
}

function unknownKeys(issue: { readonly code?: string; readonly keys?: unknown }): string {
  return issue.code === "unrecognized_keys"
    ? `unknown key ${[issue.keys].flat().map(String).join(", ")}`
    : "must be a map, without aliases";
}

function placeOf(path: readonly PropertyKey[]): string {
  return path.reduce<string>(
    (place, part) =>
      typeof part === "number"
        ? `${place}[${part}]`
        : place === ""
          ? String(part)
          : `${place}.${String(part)}`,
    "",
  );
}
