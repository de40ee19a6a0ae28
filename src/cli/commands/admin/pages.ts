import type { Method, SidecarConnection } from "../../client/connection.js";

/** The largest page that the contract allows. */
const PAGE_SIZE = 500;

interface PageRequest {
  readonly pageSize: number;
  readonly pageToken: string;
}

/** Reads all pages of a list. */
export async function readPages<
  Request extends PageRequest,
  Response extends { readonly nextPageToken: string },
  Item,
>(
  connection: SidecarConnection,
  method: Method<Request, Response>,
  request: Omit<Request, keyof PageRequest>,
  itemsOf: (response: Response) => readonly Item[],
): Promise<readonly Item[]> {
  const items: Item[] = [];
  let pageToken = "";
  do {
    // The parts of the request are all of it.
    const page = { ...request, pageSize: PAGE_SIZE, pageToken } as Request & PageRequest;
    const response = await connection.call(method, page);
    items.push(...itemsOf(response));
    pageToken = response.nextPageToken;
  } while (pageToken !== "");
  return items;
}
