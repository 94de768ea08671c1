/** Values: read from arguments, files and standard input, and shown so that a person can read them. */
import { isUtf8 } from 'node:buffer';
import { readFileSync } from 'node:fs';
import { messageOf } from '../../shared/base/errors.ts';
import { UsageError } from './exit.ts';

/** The text of bytes that are UTF-8, otherwise undefined. */
export function textOf(value: Uint8Array): string | undefined {
  return isUtf8(value) ? Buffer.from(value).toString('utf8') : undefined;
}

/** A value on one line: text as it is, text with control characters in quotes, other bytes as `base64:…`. */
export function showValue(value: Uint8Array, base64: boolean): string {
  const text = base64 ? undefined : textOf(value);
  if (text === undefined) return `${base64 ? '' : 'base64:'}${base64Of(value)}`;
  return /[\p{Cc}\p{Cf}\u2028\u2029]/u.test(text) || text.startsWith('"') || text.startsWith('base64:')
    ? JSON.stringify(text).replaceAll(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, escaped)
    : text;
}

/** A value in JSON: `value` when it is text, otherwise `value_base64`. */
export function jsonValue(value: Uint8Array, base64: boolean): { value: string } | { value_base64: string } {
  const text = base64 ? undefined : textOf(value);
  return text === undefined ? { value_base64: base64Of(value) } : { value: text };
}

/** The bytes of a value as it was given. Throws UsageError for text that is not base64, where that was asked for. */
export function parseValue(given: string, base64: boolean): Uint8Array {
  if (!base64) return Buffer.from(given, 'utf8');
  const bytes = Buffer.from(given, 'base64');
  if (bytes.toString('base64').replaceAll('=', '') !== given.trim().replaceAll('=', ''))
    throw new UsageError(`${JSON.stringify(given)} is not base64 (--base64)`);
  return bytes;
}

/** The lines of a file, an empty line at its end left out. */
export function linesOfFile(path: string): string[] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new UsageError(`the file ${path} (--file) cannot be read: ${messageOf(error)}`);
  }
  return text.replace(/\r?\n$/, '').split(/\r?\n/);
}

/** The lines of a stream as they come. */
export async function* linesOf(input: AsyncIterable<Uint8Array | string>): AsyncGenerator<string, void, undefined> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of input) {
    const lines = (rest + (typeof chunk === 'string' ? chunk : decoder.decode(chunk, { stream: true }))).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) yield line.replace(/\r$/, '');
  }
  if (rest !== '') yield rest;
}

function base64Of(value: Uint8Array): string {
  return Buffer.from(value).toString('base64');
}

function escaped(character: string): string {
  return `\\u${(character.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`;
}
