import type { RequestCheck } from "../rpc/convert/request-check.js";
import { textProblem } from "../rpc/convert/request-check.js";
import { PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX, PAGE_TOKEN_BYTES_MAX } from "./limits.js";

/** The page fields of a request. */
export interface PageRequest {
  readonly pageSize: number;
  readonly pageToken: string;
}

/** A requested page. `after` is the key of the last item of the previous page, with one part per sort field. */
export interface Page {
  readonly size: number;
  /** Undefined: the first page. */
  readonly after: readonly string[] | undefined;
}

/** Reads the page of a request. The keys of its items have `parts` parts; `isName` checks them. */
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
 * Returns the items of the page and the token of the next page, which is made from the key
 * of the last item. `items` has one item more than the page if there is a next page.
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

/** The items that were not on earlier pages, at most one more than the page holds. */
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

/** The parts in base64url, joined by dots: the token's size does not depend on the characters of the parts. */
function writeToken(parts: readonly string[]): string {
  return parts.map((part) => Buffer.from(part).toString("base64url")).join(".");
}

function readToken(
  token: string,
  parts: number,
  isName: (parts: readonly string[]) => boolean,
): readonly string[] | undefined {
  const read = token.split(".").map((part) => Buffer.from(part, "base64url").toString("utf8"));
  return read.length === parts && writeToken(read) === token && isName(read) ? read : undefined;
}
