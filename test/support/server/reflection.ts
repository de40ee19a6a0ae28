import { once } from "node:events";
import { type Client, type ClientDuplexStream, Metadata } from "@grpc/grpc-js";
import {
  type ServerReflectionRequest,
  type ServerReflectionResponse,
  ServerReflectionService,
} from "../../../src/gen/grpc/reflection/v1/reflection.js";

export type ReflectionStream = ClientDuplexStream<ServerReflectionRequest, ServerReflectionResponse>;
type Question = ServerReflectionRequest["messageRequest"];
type Answer = ServerReflectionResponse["messageResponse"];

/** Opens a reflection stream; the messages of both versions are the same. */
export function openReflection(client: Client, version: "v1" | "v1alpha" = "v1"): ReflectionStream {
  const { path, requestSerialize, responseDeserialize } = ServerReflectionService.serverReflectionInfo;
  return client.makeBidiStreamRequest(
    path.replace(".v1.", `.${version}.`),
    requestSerialize,
    responseDeserialize,
    new Metadata(),
  );
}

/** Asks one question of an open stream. */
export async function ask(stream: ReflectionStream, messageRequest: Question): Promise<Answer> {
  stream.write({ host: "", messageRequest });
  const [reply] = (await once(stream, "data")) as [ServerReflectionResponse];
  return reply.messageResponse;
}
