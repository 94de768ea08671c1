/** A message-sequence chart in a terminal: time runs down, one lane for each member. */
import { showLine } from '../text.ts';
import type { Row } from './rows.ts';
import type { Part } from './words.ts';

/** Cells of one lane, and of the time in front. */
const LANE = 4;
const TIME = 9;
/** Cells that a text gets at least, however many lanes there are. */
const TEXT_MIN = 24;

const COLOR: Readonly<Record<Part, number>> = {
  ...{ 'phase 1': 34, 'phase 2': 33, learning: 32, refusal: 31, other: 90 },
};

export class TextChart {
  readonly #lanes: readonly string[];
  readonly #width: number;
  readonly #color: boolean;
  /** Milliseconds since 1970 at which the chart begins: that of its first row. */
  #beganAt: number | undefined;

  /** `width`: cells of the terminal. */
  constructor(lanes: readonly string[], width: number, color: boolean) {
    this.#lanes = lanes;
    this.#width = Math.max(width - 1, TIME + LANE * lanes.length + TEXT_MIN);
    this.#color = color;
  }

  /** The names above the lanes. */
  head(): string {
    return `${'ms'.padStart(TIME - 2)}  ${this.#lanes.map((lane) => lane.padEnd(LANE)).join('')}`.trimEnd();
  }

  /** The lines of one row: a second one where its text is long. */
  lines(row: Row): string[] {
    this.#beganAt ??= row.wallMs;
    const time = (row.wallMs - this.#beganAt).toFixed(1).padStart(TIME - 2);
    const name = row.to.length === 0 ? `${row.from} ` : '';
    const room = this.#width - TIME - LANE * this.#lanes.length;
    const [first = '', ...rest] = wrap(showLine(name + row.text), room);
    const paint = (text: string): string => (this.#color ? `\u001b[${String(COLOR[row.part])}m${text}\u001b[0m` : text);
    const quiet = this.#lanes.map(() => '│'.padEnd(LANE)).join('');
    return [
      `${time}  ${paint(this.#drawn(row))}${paint(first)}`.trimEnd(),
      ...rest.map((text) => `${' '.repeat(TIME)}${quiet}${paint(`  ${text}`)}`),
    ];
  }

  #drawn(row: Row): string {
    const cells = this.#lanes.flatMap(() => ['│', ...new Array<string>(LANE - 1).fill(' ')]);
    const at = (lane: string): number => this.#lanes.indexOf(lane) * LANE;
    const from = at(row.from);
    const targets = row.to.map(at).filter((cell) => cell >= 0 && cell !== from);
    if (row.to.length === 0 || from < 0 || targets.length === 0) {
      const dot = from >= 0 ? from : (targets[0] ?? -1);
      if (dot >= 0) cells[dot] = row.to.length === 0 ? '●' : '○';
      return cells.join('');
    }
    const left = Math.min(from, ...targets);
    const right = Math.max(from, ...targets);
    for (let cell = left; cell <= right; cell++) cells[cell] = cell % LANE === 0 ? '┼' : '─';
    for (const target of targets) cells[target] = target > from ? '▶' : '◀';
    cells[from] = left === from ? '├' : right === from ? '┤' : '┼';
    return cells.join('');
  }
}

/** Cuts a text at spaces into pieces of at most so many characters, those after the first two shorter for their indent. */
function wrap(text: string, width: number): string[] {
  const out: string[] = [];
  let rest = text;
  for (let room = width; rest.length > room; room = width - 2) {
    const space = rest.lastIndexOf(' ', room);
    const cut = space > room / 2 ? space : room;
    out.push(rest.slice(0, cut));
    rest = rest.slice(cut).trimStart();
  }
  return [...out, rest];
}
