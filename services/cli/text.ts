/** Text that somebody else chose, such as the name of a log, on a terminal. */

/** What a terminal would not show but do, and what turns a line round. */
const CONTROL = /[\p{Cc}\p{Cf}\u2028\u2029]/gu;

/**
 * A name or a value on one line: as it is, or in quotes and with control characters written out, so that it can neither break a
 * table nor move a terminal's cursor. What would be taken for something else without quotes gets them, too.
 */
export function showName(text: string): string {
  return text.search(CONTROL) >= 0 || text.startsWith('"') || text.startsWith('base64:')
    ? showLine(JSON.stringify(text))
    : text;
}

/** A line or a cell that is made already: control characters that are left in it are written out. */
export function showLine(line: string): string {
  return line.replaceAll(CONTROL, escaped);
}

function escaped(character: string): string {
  return `\\u${(character.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`;
}
