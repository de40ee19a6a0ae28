import { NAME_BYTES_MAX } from "../core/model/limits.js";
import type { Homeserver } from "../core/model/types.js";
import type * as wire from "../gen/splitcache/admin/v1/admin_service.js";
import { checked, type RequestCheck, textProblem } from "../rpc/convert/request-check.js";
import { unaryHandler } from "../rpc/handlers/unary-and-stream.js";
import type { RpcLogger } from "../rpc/status.js";
import { cutPage, type Page, pageOf, takeAfter } from "./page.js";
import {
  fromLogLevel,
  toConnection,
  toHomeserver,
  toLogLevel,
  toMember,
  toMemberPosition,
  toSubscriber,
} from "./reply.js";
import type { AdminSources } from "./sources.js";

/** Creates the handlers of AdminService. Each checks its request and reads or changes one source. */
export function createAdminService(sources: AdminSources, logger: RpcLogger, clock: () => number) {
  const unary = <Request, Converted, Response>(
    convert: (check: RequestCheck, request: Request) => Converted,
    serve: (converted: Converted) => Promise<Response>,
  ) =>
    unaryHandler((request: Request) => serve(checked(undefined, (check) => convert(check, request))), logger);
  const withoutInput = <Response>(serve: () => Response) =>
    unaryHandler(async (_request: unknown) => serve(), logger);

  return {
    listHomeservers: unary(
      (check, request: wire.ListHomeserversRequest) => ({
        page: pageOf(check, request, 1),
        homeserver: nameOf(check, "homeserver", request.homeserver),
      }),
      async (request) => listHomeservers(sources, request),
    ),
    listMembers: unary(
      (check, request: wire.ListMembersRequest) => pageOf(check, request, 1, ([id]) => isMemberId(id)),
      (page) => listMembers(sources, page),
    ),
    listMemberPositions: unary(
      (check, request: wire.ListMemberPositionsRequest) => ({
        page: pageOf(check, request, 2, ([, id]) => isMemberId(id)),
        homeserver: nameOf(check, "homeserver", request.homeserver),
        memberId: memberIdOf(check, request.memberId),
      }),
      (request) => listMemberPositions(sources, request),
    ),
    listSubscribers: unary(
      (check, request: wire.ListSubscribersRequest) => ({
        page: pageOf(check, request, 1, ([number]) => isNumber(number)),
        homeserver: nameOf(check, "homeserver", request.homeserver),
      }),
      async (request) => listSubscribers(sources, request, clock()),
    ),
    listConnections: unary(
      (check, request: wire.ListConnectionsRequest) =>
        pageOf(check, request, 2, ([listener = "", number]) => {
          return Object.hasOwn(sources.connections, listener) && isNumber(number);
        }),
      async (page) => listConnections(sources, page, clock()),
    ),
    getLogLevel: withoutInput(() => ({ logLevel: toLogLevel(sources.logger.level) })),
    setLogLevel: unary(
      (check, request: wire.SetLogLevelRequest) => {
        const level = fromLogLevel(request.logLevel);
        if (level === undefined) check.note("log_level", "is required and must be a value of LogLevel");
        return level ?? sources.logger.level;
      },
      async (level) => {
        const previousLogLevel = toLogLevel(sources.logger.level);
        sources.logger.level = level;
        return { previousLogLevel };
      },
    ),
    drain: withoutInput(() => {
      sources.service.drain();
      return { ...sources.service.usage() };
    }),
    undrain: withoutInput(() => {
      sources.service.undrain();
      return {};
    }),
  };
}

/** Reads an optional name that filters a list. */
function nameOf(check: RequestCheck, field: string, name: string): string | undefined {
  check.note(field, textProblem(name, NAME_BYTES_MAX));
  return name === "" ? undefined : name;
}

function memberIdOf(check: RequestCheck, id: string): string | undefined {
  if (id !== "" && !isMemberId(id))
    check.note("member_id", `must be 1 to ${NAME_BYTES_MAX} letters and digits`);
  return id === "" ? undefined : id;
}

function isMemberId(id = ""): boolean {
  return /^[0-9A-Za-z]+$/.test(id) && id.length <= NAME_BYTES_MAX;
}

/** The number of a subscription or a connection. */
function isNumber(text = ""): boolean {
  return /^\d{1,15}$/.test(text);
}

interface HomeserverPage {
  readonly page: Page;
  readonly homeserver: string | undefined;
}

function listHomeservers(
  { store }: AdminSources,
  { page, homeserver }: HomeserverPage,
): wire.ListHomeserversResponse {
  const table = store.stats().homeservers;
  const after = page.after?.[0];
  const names = [...table.keys()]
    .filter(
      (name) => (homeserver === undefined || name === homeserver) && (after === undefined || name > after),
    )
    .sort();
  const { items, nextPageToken } = cutPage(page, names, (name) => [name]);
  const homeservers = items.flatMap((name) => {
    const stats = table.get(name);
    return stats === undefined ? [] : [toHomeserver(name, stats)];
  });
  return { homeservers, nextPageToken };
}

async function listMembers({ members }: AdminSources, page: Page): Promise<wire.ListMembersResponse> {
  const found = await members.list({ afterId: page.after?.[0] ?? "", limit: page.size + 1 });
  const { items, nextPageToken } = cutPage(page, found, ({ id }) => [id]);
  return { members: items.map(toMember), nextPageToken };
}

async function listMemberPositions(
  { members }: AdminSources,
  { page, homeserver, memberId }: HomeserverPage & { readonly memberId: string | undefined },
): Promise<wire.ListMemberPositionsResponse> {
  const [afterHomeserver = "", afterMember = ""] = page.after ?? [];
  const after = page.after && { homeserver: afterHomeserver, memberId: afterMember };
  const found = await members.positions({ after, limit: page.size + 1, homeserver, memberId });
  const { items, nextPageToken } = cutPage(page, found, (shown) => [shown.homeserver, shown.memberId]);
  return { positions: items.map(toMemberPosition), nextPageToken };
}

function listSubscribers(
  { subscriptions, store }: AdminSources,
  { page, homeserver }: HomeserverPage,
  nowMs: number,
): wire.ListSubscribersResponse {
  const after = Number(page.after?.[0] ?? 0);
  const found = takeAfter(page, subscriptions, (shown) => {
    return shown.number <= after || (homeserver !== undefined && shown.homeserver !== homeserver);
  });
  const { items, nextPageToken } = cutPage(page, found, ({ number }) => [String(number)]);
  const table = store.stats().homeservers;
  const headOf = (name: Homeserver) => table.get(name)?.position;
  const subscribers = items.map((shown) => toSubscriber(shown, headOf(shown.homeserver), nowMs));
  return { subscribers, nextPageToken };
}

function listConnections(
  { connections }: AdminSources,
  page: Page,
  nowMs: number,
): wire.ListConnectionsResponse {
  const [afterListener, afterNumber] = page.after ?? [];
  const listeners = Object.keys(connections);
  const first = afterListener === undefined ? 0 : listeners.indexOf(afterListener);
  const all = listeners.slice(first).flatMap((listener) => {
    const after = listener === afterListener ? Number(afterNumber) : 0;
    const found = takeAfter(page, connections[listener]!.list(), ({ number }) => number <= after);
    return found.map((connection) => ({ listener, connection }));
  });
  const { items, nextPageToken } = cutPage(page, all, ({ listener, connection }) => {
    return [listener, String(connection.number)];
  });
  return {
    connections: items.map(({ listener, connection }) => toConnection(listener, connection, nowMs)),
    nextPageToken,
  };
}
