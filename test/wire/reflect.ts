/**
 * The messages of the proto folder, twice: as an independent protobuf implementation reads the pages, and as the generated code has
 * them. Everything is found by reflection, so that a message which is added tomorrow is compared, too.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { loadSync } from '@grpc/proto-loader';

export const PROTO = join(import.meta.dirname, '../../proto');

export interface Field {
  readonly name: string;
  readonly number: number;
  readonly repeated: boolean;
  readonly type: string;
  /** For messages and enums: the full name. */
  readonly typeName: string;
  /** The oneof it is a case of; undefined for plain and `optional` fields. */
  readonly oneof: string | undefined;
}

export interface Message {
  readonly name: string;
  readonly fields: readonly Field[];
  readonly serialize: (value: object) => Buffer;
  readonly deserialize: (bytes: Buffer) => object;
}

/** What ts-proto generates for a message. */
export interface Generated {
  encode(value: unknown): { finish(): Uint8Array };
  decode(bytes: Uint8Array): unknown;
  fromPartial(value: unknown): unknown;
}

export const FILES: readonly string[] = readdirSync(PROTO, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.proto'))
  .sort();

interface Descriptor {
  field: { name: string; number: number; label: string; type: string; typeName: string }[];
  oneofDecl: { name: string }[];
}

/** All messages of all pages, by full name, without a leading dot. */
export function loadMessages(): Map<string, Message> {
  const options = { includeDirs: [PROTO], keepCase: false, longs: Number, enums: Number, oneofs: true };
  const messages = new Map<string, Message>();
  for (const [name, definition] of Object.entries(loadSync([...FILES], options))) {
    if (!('format' in definition) || definition.format !== 'Protocol Buffer 3 DescriptorProto') continue;
    const codec = definition as unknown as Codec;
    const fields = fieldsOf(definition.type as Descriptor, name.slice(0, name.lastIndexOf('.')), codec);
    messages.set(name, { name, fields, serialize: codec.serialize, deserialize: codec.deserialize });
  }
  return messages;
}

type Codec = Pick<Message, 'serialize' | 'deserialize'>;

function fieldsOf(type: Descriptor, space: string, codec: Codec): Field[] {
  // An `optional` field is the single case of a oneof that the compiler makes up, whose name begins with a low line.
  const oneofs = type.oneofDecl.map((o) => camel(o.name)).filter((name) => !name.startsWith('_'));
  return type.field.map((f) => {
    const name = camel(f.name);
    const repeated = f.label === 'LABEL_REPEATED';
    const typeName = f.typeName.startsWith('.') ? f.typeName.slice(1) : `${space}.${f.typeName}`;
    // The loader's descriptors do not tell a plain field from a case of the first oneof; what it reads back does.
    const read = codec.deserialize(codec.serialize({ [name]: repeated ? [probe(f.type)] : probe(f.type) }));
    const oneof = oneofs.find((o) => (read as Record<string, unknown>)[o] === name);
    return { name, number: f.number, repeated, type: f.type, typeName, oneof };
  });
}

/** Any value that is not the type's default. */
function probe(type: string): unknown {
  switch (type) {
    case 'TYPE_STRING':
      return 'a';
    case 'TYPE_BYTES':
      return Buffer.from('a');
    case 'TYPE_BOOL':
      return true;
    case 'TYPE_MESSAGE':
      return {};
    default:
      return 1;
  }
}

export function camel(name: string): string {
  return name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

/** All generated messages, by full name. */
export async function loadGenerated(): Promise<Map<string, Generated>> {
  const generated = new Map<string, Generated>();
  for (const file of FILES) {
    const module = (await import(`../../shared/wire/gen/${file.replace(/\.proto$/, '.ts')}`)) as Record<
      string,
      unknown
    >;
    for (const [name, value] of Object.entries(module))
      if (typeof value === 'object' && value !== null && 'decode' in value)
        generated.set(`${String(module['protobufPackage'])}.${name}`, value as Generated);
  }
  return generated;
}
