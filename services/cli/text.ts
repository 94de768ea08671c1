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

/** Characters that take two columns of a terminal, and those that take none. */
const WIDE =
  /[\u1100-\u115F\u2E80-\u303E\u3041-\uA4CF\uAC00-\uD7A3\uF900-\uFAFF\uFE30-\uFE6F\uFF00-\uFF60\uFFE0-\uFFE6\u{20000}-\u{3FFFD}]|\p{Emoji_Presentation}/u;
const ZERO = /\p{Mn}|\p{Me}/u;

/** Columns of a terminal that a line takes. */
export function columnsOf(line: string): number {
  let columns = 0;
  for (const character of line) columns += columnsOfOne(character);
  return columns;
}

/** At most so many columns; where something is left out, an ellipsis says so. */
export function cutTo(line: string, columns: number): string {
  if (columnsOf(line) <= columns) return line;
  let kept = '';
  let used = 1;
  for (const character of line) {
    used += columnsOfOne(character);
    if (used > columns) break;
    kept += character;
  }
  return `${kept}…`;
}

function columnsOfOne(character: string): number {
  if (ZERO.test(character)) return 0;
  return WIDE.test(character) ? 2 : 1;
}
