/** Values: read from arguments, files and standard input, and shown so that a person can read them. */
import { isUtf8 } from 'node:buffer';
import { readFileSync } from 'node:fs';
import { messageOf } from '../../shared/base/errors.ts';
import { UsageError } from './exit.ts';
import { showName } from './text.ts';

const LF = 0x0a;
const CR = 0x0d;
/** Bytes of a line with what is read behind it: the base64 of the largest value fits. */
const LINE_BYTES_MAX = 8 * 1024 * 1024;

/** The text of bytes that are UTF-8, otherwise undefined. */
export function textOf(value: Uint8Array): string | undefined {
  return isUtf8(value) ? Buffer.from(value).toString('utf8') : undefined;
}

/** A value on one line: text as it is, text with control characters in quotes, other bytes as `base64:…`. */
export function showValue(value: Uint8Array, base64: boolean): string {
  const text = base64 ? undefined : textOf(value);
  if (text === undefined) return `${base64 ? '' : 'base64:'}${base64Of(value)}`;
  return showName(text);
}

/** A value in JSON: `value` when it is text, otherwise `value_base64`. */
export function jsonValue(value: Uint8Array, base64: boolean): { value: string } | { value_base64: string } {
  const text = base64 ? undefined : textOf(value);
  return text === undefined ? { value_base64: base64Of(value) } : { value: text };
}

/**
 * The bytes of a value: as they were given, or what their base64 stands for. Throws UsageError for what is not base64, and for an
 * argument of the command line that was no UTF-8: what stands there is no longer what was given.
 */
export function parseValue(given: string | Uint8Array, base64: boolean): Uint8Array {
  if (base64) return parseBase64(Buffer.from(given).toString('latin1'));
  if (typeof given !== 'string') return given;
  if (given.includes('\ufffd'))
    throw new UsageError(
      'a VALUE on the command line must be UTF-8, other bytes do not arrive as they are: give it on standard input, or with --base64',
    );
  return Buffer.from(given, 'utf8');
}

function parseBase64(given: string): Uint8Array {
  const bytes = Buffer.from(given, 'base64');
  if (bytes.toString('base64').replaceAll('=', '') !== given.trim().replaceAll('=', ''))
    throw new UsageError(`${JSON.stringify(given)} is not base64 (--base64)`);
  return bytes;
}

/** The lines of a file, as bytes. A line ends at LF or CR LF, which are not part of it; behind the last one is no further line. */
export function linesOfFile(path: string): Uint8Array[] {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    throw new UsageError(`the file ${path} (--file) cannot be read: ${messageOf(error)}`);
  }
  const { lines, rest } = split(bytes);
  return rest.length === 0 ? lines : [...lines, rest];
}

/** The lines of a stream as they come, as bytes; they end as in a file. Throws UsageError for a line that no value can be. */
export async function* linesOf(input: AsyncIterable<Uint8Array | string>): AsyncGenerator<Uint8Array, void, undefined> {
  /** Pieces of the line that is not at its end yet. */
  let pieces: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of input) {
    pieces.push(Buffer.from(chunk));
    bytes += chunk.length;
    if (bytes > LINE_BYTES_MAX) throw new UsageError(`a line is longer than ${String(LINE_BYTES_MAX)} bytes`);
    if (!(pieces.at(-1)?.includes(LF) ?? false)) continue;
    const { lines, rest } = split(Buffer.concat(pieces));
    yield* lines;
    pieces = [rest];
    bytes = rest.length;
  }
  const last = Buffer.concat(pieces);
  if (last.length > 0) yield last;
}

function split(bytes: Buffer): { lines: Buffer[]; rest: Buffer } {
  const lines: Buffer[] = [];
  let from = 0;
  for (let at = bytes.indexOf(LF); at >= 0; at = bytes.indexOf(LF, from)) {
    lines.push(bytes.subarray(from, at > from && bytes[at - 1] === CR ? at - 1 : at));
    from = at + 1;
  }
  return { lines, rest: bytes.subarray(from) };
}

function base64Of(value: Uint8Array): string {
  return Buffer.from(value).toString('base64');
}
