import { fromBinary } from "@bufbuild/protobuf";
import {
  type DescriptorProto,
  FieldDescriptorProto_Label,
  FieldDescriptorProto_Type,
  FileDescriptorSetSchema,
} from "@bufbuild/protobuf/wkt";
import { descriptorSet } from "../../gen/descriptor-set.js";
import type { FieldShape, MessageShape } from "./wire-shape.js";

/**
 * The shape of a message that the server receives, from the descriptors of the contract: a field
 * that is added there is checked here. Throws if no served file defines the message, or if the
 * message has itself as a part.
 */
export function shapeOf(fullName: string): MessageShape {
  types ??= readTypes();
  return shapeOfType(`.${fullName}`, types, []);
}

type Types = ReadonlyMap<string, DescriptorProto>;

let types: Types | undefined;

function readTypes(): Types {
  const { file } = fromBinary(FileDescriptorSetSchema, Buffer.from(descriptorSet, "base64"));
  return new Map(
    file.flatMap((one) => one.messageType.map((type) => [`.${one.package}.${type.name}`, type] as const)),
  );
}

function shapeOfType(typeName: string, all: Types, around: readonly string[]): MessageShape {
  const type = all.get(typeName);
  if (type === undefined) throw new Error(`the descriptors lack ${typeName}`);
  if (around.includes(typeName)) throw new Error(`${typeName} is a part of itself`);
  const shape: Record<number, FieldShape> = {};
  for (const field of type.field) {
    const isMessage = field.type === FieldDescriptorProto_Type.MESSAGE;
    if (!isMessage && field.type !== FieldDescriptorProto_Type.STRING) continue;
    shape[field.number] = {
      name: field.name,
      isRepeated: field.label === FieldDescriptorProto_Label.REPEATED,
      message: isMessage ? shapeOfType(field.typeName, all, [...around, typeName]) : undefined,
    };
  }
  return shape;
}
