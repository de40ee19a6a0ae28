import { textProblem } from "../rpc/convert/field-problems.js";
import type { RequestCheck } from "../rpc/convert/request-check.js";
import { PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX, PAGE_TOKEN_BYTES_MAX } from "./limits.js";

/** What a request says of its page. */
export interface PageRequest {
  readonly pageSize: number;
  readonly pageToken: string;
}

/** A page to make: `after` names the last item of the page before, in as many parts as the list is ordered by. */
export interface Page {
  readonly size: number;
  /** Undefined: the first page. */
  readonly after: readonly string[] | undefined;
}

/** Reads the page of a request whose items are named by so many parts; `isName`: whether these parts can name one. */
export function pageOf(
  check: RequestCheck,
  { pageSize, pageToken }: PageRequest,
  parts: number,
  isName: (parts: readonly string[]) => boolean = () => true,
): Page {
  if (pageSize > PAGE_SIZE_MAX) check.note("page_size", `must be at most ${PAGE_SIZE_MAX}, is ${pageSize}`);
  const problem = textProblem(pageToken, PAGE_TOKEN_BYTES_MAX);
  const after = problem === undefined && pageToken !== "" ? readToken(pageToken, parts, isName) : undefined;
  check.note("page_token", problem);
  if (problem === undefined && pageToken !== "" && after === undefined) {
    check.note("page_token", "must be the next_page_token of a reply to this call");
  }
  return { size: pageSize === 0 ? PAGE_SIZE_DEFAULT : pageSize, after };
}

/**
 * Cuts a page off items that were asked for one more than fits, and makes the token of the
 * next page from the last item's name.
 */
export function cutPage<Item>(
  { size }: Page,
  items: readonly Item[],
  nameOf: (item: Item) => readonly string[],
): { readonly items: readonly Item[]; readonly nextPageToken: string } {
  const shown = items.slice(0, size);
  const last = shown.at(-1);
  const nextPageToken = items.length > size && last !== undefined ? writeToken(nameOf(last)) : "";
  return { items: shown, nextPageToken };
}

/** The items after the shown ones, one more than fits into the page. */
export function takeAfter<Item>(
  { size }: Page,
  items: Iterable<Item>,
  isShown: (item: Item) => boolean,
): Item[] {
  const taken: Item[] = [];
  for (const item of items) {
    if (isShown(item)) continue;
    taken.push(item);
    if (taken.length > size) break;
  }
  return taken;
}

function writeToken(parts: readonly string[]): string {
  return Buffer.from(JSON.stringify(parts)).toString("base64url");
}

function readToken(
  token: string,
  parts: number,
  isName: (parts: readonly string[]) => boolean,
): readonly string[] | undefined {
  try {
    const read: unknown = JSON.parse(Buffer.from(token, "base64url").toString("utf8"));
    const isWhole = Array.isArray(read) && read.length === parts && read.every(isString);
    return isWhole && isName(read) ? read : undefined;
  } catch {
    return undefined;
  }
}

function isString(value: unknown): value is string {
  return typeof value === "string";
}
