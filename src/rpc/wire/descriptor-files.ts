import { fromBinary } from "@bufbuild/protobuf";
import { BinaryReader } from "@bufbuild/protobuf/wire";
import {
  type DescriptorProto,
  type EnumDescriptorProto,
  type FileDescriptorProto,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
} from "@bufbuild/protobuf/wkt";

/** The wire form of a google.protobuf.FileDescriptorProto. */
export type FileBytes = Uint8Array;

interface File {
  readonly bytes: FileBytes;
  readonly dependencies: readonly string[];
}

/**
 * The files of a google.protobuf.FileDescriptorSet, by their names and by the names that they define.
 * They are returned as the bytes of the set: decoding and encoding them again may lose options.
 */
export class DescriptorFiles {
  /** The full names of all services, in alphabetical order. */
  readonly services: readonly string[];
  readonly #files = new Map<string, File>();
  readonly #fileNames = new Map<string, string>();
  readonly #messages = new Set<string>();

  constructor(set: Uint8Array) {
    const services: string[] = [];
    for (const bytes of filesOf(set)) {
      const file = fromBinary(FileDescriptorProtoSchema, bytes);
      this.#files.set(file.name, { bytes, dependencies: file.dependency });
      for (const { kind, name } of symbolsOf(file)) {
        this.#fileNames.set(name, file.name);
        if (kind === "message") this.#messages.add(name);
        if (kind === "service") services.push(name);
      }
    }
    this.services = services.sort();
  }

  /** The file of this name, then all its dependencies. Undefined if there is none. */
  named(fileName: string): FileBytes[] | undefined {
    return this.#files.has(fileName) ? this.#withDependencies(fileName) : undefined;
  }

  /** The file that defines this full name, then all its dependencies. Undefined if there is none. */
  containing(symbol: string): FileBytes[] | undefined {
    const fileName = this.#fileNames.get(symbol);
    return fileName === undefined ? undefined : this.#withDependencies(fileName);
  }

  hasMessage(fullName: string): boolean {
    return this.#messages.has(fullName);
  }

  #withDependencies(fileName: string): FileBytes[] {
    const needed = new Set([fileName]);
    // The iteration of a set includes items that are added meanwhile.
    for (const name of needed) {
      for (const dependency of this.#file(name).dependencies) needed.add(dependency);
    }
    return Array.from(needed, (name) => this.#file(name).bytes);
  }

  #file(name: string): File {
    const file = this.#files.get(name);
    if (file === undefined) throw new Error(`the descriptor set lacks ${name}`);
    return file;
  }
}

function filesOf(set: Uint8Array): FileBytes[] {
  const reader = new BinaryReader(set);
  const files: FileBytes[] = [];
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === FileDescriptorSetSchema.field.file.number) files.push(reader.bytes());
    else reader.skip(wireType, field);
  }
  return files;
}

interface NamedSymbol {
  readonly kind: "message" | "service" | "member";
  readonly name: string;
}

function* symbolsOf(file: FileDescriptorProto): Generator<NamedSymbol> {
  const scope = file.package === "" ? "" : `${file.package}.`;
  for (const { name, method } of file.service) {
    yield { kind: "service", name: scope + name };
    yield* members(`${scope}${name}.`, method);
  }
  for (const message of file.messageType) yield* symbolsOfMessage(scope, message);
  yield* symbolsOfEnums(scope, file.enumType);
  yield* members(scope, file.extension);
}

function* symbolsOfMessage(scope: string, message: DescriptorProto): Generator<NamedSymbol> {
  const name = scope + message.name;
  yield { kind: "message", name };
  const inner = `${name}.`;
  yield* members(inner, message.field);
  yield* members(inner, message.oneofDecl);
  yield* members(inner, message.extension);
  yield* symbolsOfEnums(inner, message.enumType);
  for (const nested of message.nestedType) yield* symbolsOfMessage(inner, nested);
}

/** The values of an enum are named beside it, not inside it. */
function* symbolsOfEnums(scope: string, enums: readonly EnumDescriptorProto[]): Generator<NamedSymbol> {
  yield* members(scope, enums);
  for (const { value } of enums) yield* members(scope, value);
}

function* members(scope: string, named: readonly { readonly name: string }[]): Generator<NamedSymbol> {
  for (const { name } of named) yield { kind: "member", name: scope + name };
}
