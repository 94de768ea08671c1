/** Values that say who they are, and show whether a byte of them is another. */

/** `v17.300` is number 17, followed by 300 bytes that follow from the number. */
export function valueOf(number: number, bytes: number): { readonly name: string; readonly value: Uint8Array } {
  const name = `v${number}.${bytes}`;
  return { name, value: Buffer.concat([Buffer.from(`${name} `), Buffer.alloc(bytes, filling(number))]) };
}

/** The name of a value. One that is not as it was made gets a name that nobody proposed. */
export function nameIn(value: Uint8Array): string {
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  const name = bytes.subarray(0, Math.max(0, bytes.indexOf(' '))).toString('latin1');
  const [, number, length] = /^v(\d+)\.(\d+)$/.exec(name) ?? [];
  const isWhole = number !== undefined && bytes.equals(valueOf(Number(number), Number(length)).value);
  return isWhole ? name : `damaged: ${bytes.subarray(0, 40).toString('latin1')}`;
}

function filling(number: number): Uint8Array {
  return Buffer.from(`${number * 7_919};`);
}
