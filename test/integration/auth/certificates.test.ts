import { type ChannelCredentials, credentials, Metadata, status } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import * as wire from "../../../src/gen/splitcache/v1/event_cache_service.js";
import {
  ALPHA,
  authYaml,
  BETA,
  type Client,
  cleanups,
  codeOf,
  getEvents,
  makeFolder,
} from "../../support/server/auth-server.js";
import { startTestServer } from "../../support/server/start-server.js";

describe("client certificates and Unix sockets", () => {
  it("are credentials where the auth file names them", async () => {
    const folder = await makeFolder();
    const [own, ca] = [await folder.certificate("server"), await folder.certificate("ca")];
    const alpha = await folder.certificate("alpha", { signer: ca, names: "URI:spiffe://cluster/alpha" });
    const common = await folder.certificate("common", { signer: ca, names: "", commonName: "beta-workers" });
    const stranger = await folder.certificate("stranger", { signer: ca });
    const socket = folder.path("s");
    const authFile = await folder.write(
      "auth.yaml",
      authYaml([
        {
          name: "a",
          role: "homeserver",
          homeservers: [ALPHA],
          certificate_names: ["spiffe://cluster/alpha"],
        },
        {
          name: "b",
          role: "homeserver",
          homeservers: [BETA],
          certificate_names: ["beta-workers"],
          unix_sockets: [socket],
        },
      ]),
    );
    const server = await startTestServer({
      ...{ authFile, tlsCertFile: own.certFile, tlsKeyFile: own.keyFile, tlsClientCaFile: ca.certFile },
      listen: [
        { kind: "tcp", host: "127.0.0.1", port: 0 },
        { kind: "unix", path: socket },
      ],
    });
    cleanups.push(() => server.stop());
    const over = (address: string, channel: ChannelCredentials) => {
      const client = new wire.EventCacheServiceClient(address, channel, {
        "grpc.use_local_subchannel_pool": 1,
      });
      cleanups.push(() => client.close());
      return client;
    };
    const tls = (certificate?: { readonly key: string; readonly cert: string }) =>
      over(
        server.address,
        credentials.createSsl(
          Buffer.from(own.cert),
          certificate ? Buffer.from(certificate.key) : null,
          certificate ? Buffer.from(certificate.cert) : null,
        ),
      );
    const codes = async (client: Client) =>
      Promise.all([ALPHA, BETA].map((name) => codeOf(getEvents(client, name, new Metadata()))));
    expect(await codes(tls(alpha))).toEqual([status.OK, status.PERMISSION_DENIED]);
    expect(await codes(tls(common))).toEqual([status.PERMISSION_DENIED, status.OK]);
    expect(await codes(tls(stranger))).toEqual([status.UNAUTHENTICATED, status.UNAUTHENTICATED]);
    expect(await codes(tls())).toEqual([status.UNAUTHENTICATED, status.UNAUTHENTICATED]);
    expect(await codes(over(`unix:${socket}`, credentials.createInsecure()))).toEqual([
      status.PERMISSION_DENIED,
      status.OK,
    ]);
  });
});
