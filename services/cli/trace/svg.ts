/**
 * A message-sequence chart as one self-contained SVG: time runs down, one lane for each member, a bar beside an acceptor's lane in the
 * colour of the proposer that holds its promise. All text is set in a font of fixed width, so that what fits is known.
 */
import { showLine } from '../text.ts';
import type { Row } from './rows.ts';
import type { Part } from './words.ts';

export interface SvgOptions {
  readonly title: string;
  readonly lanes: readonly string[];
  /** Said below the chart, such as what was left out. */
  readonly notes: readonly string[];
}

const FONT = 12;
/** Width of a character of the font. */
const CHAR = 7.25;
const ROW = 26;
const TIME_WIDTH = 84;
const LANE_WIDTH = 118;
const MARGIN = 24;
const HEAD = 96;
/** What an arrowhead takes beside its lane, and some air. */
const ARROWHEAD = 11;
/** Characters of a row's text; what is longer is cut, and is whole in its tooltip. */
const TEXT_MAX = 64;

const PART_CLASS: Readonly<Record<Part, string>> = {
  ...{ 'phase 1': 'one', 'phase 2': 'two', learning: 'learn', refusal: 'no', other: 'other' },
};
const LEGEND: readonly (readonly [Part, string])[] = [
  ['phase 1', 'phase 1: prepare, promise'],
  ['phase 2', 'phase 2: accept, vote'],
  ['learning', 'learning'],
  ['refusal', 'refused'],
  ['other', 'clients, members'],
];
const OWNERS = 5;

const STYLE = `
  svg { background: #ffffff; font: ${String(FONT)}px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; }
  .paper { fill: #ffffff } .ink { fill: #1c2330 } .dim { fill: #5d6778 } .lane { stroke: #c3cad6 } .box { fill: #eef1f6; stroke: #9aa5b8 }
  .one { --c: #1f5fbf } .two { --c: #a85400 } .learn { --c: #1b7a3d } .no { --c: #c02334 } .other { --c: #5d6778 }
  .p1 { --c: #6a3fc4 } .p2 { --c: #00807a } .p3 { --c: #b8860b } .p4 { --c: #b0307a } .p0 { --c: #4d5bd0 }
  .line { stroke: var(--c); stroke-width: 1.6; fill: none } .fill { fill: var(--c) } .text { fill: var(--c) }
  .back { fill: #ffffff; fill-opacity: .9 } .bar { fill: var(--c); fill-opacity: .55 } .head { font-weight: 600 } .title { font-size: 15px; font-weight: 600 }
  @media (prefers-color-scheme: dark) {
    svg { background: #12161d } .paper, .back { fill: #12161d } .ink { fill: #e6eaf2 } .dim { fill: #9aa5b8 } .lane { stroke: #3a4454 } .box { fill: #1d2430; stroke: #56627a }
    .one { --c: #7db3ff } .two { --c: #ffb060 } .learn { --c: #6fd596 } .no { --c: #ff7d8a } .other { --c: #9aa5b8 }
    .p1 { --c: #b59bff } .p2 { --c: #4fd6cf } .p3 { --c: #f0c75e } .p4 { --c: #f28cc4 } .p0 { --c: #97a3ff }
  }`;

/** The SVG of these rows, in their order. */
export function svgOf(rows: readonly Row[], options: SvgOptions): string {
  const chart = new SvgChart(rows, options);
  return chart.toString();
}

class SvgChart {
  readonly #rows: readonly Row[];
  readonly #options: SvgOptions;
  readonly #out: string[] = [];
  #width: number;
  readonly #bottom: number;

  constructor(rows: readonly Row[], options: SvgOptions) {
    this.#rows = rows;
    this.#options = options;
    const legend = LEGEND.reduce((sum, [, text]) => sum + 30 + text.length * CHAR, 0);
    this.#width = Math.ceil(
      Math.max(
        TIME_WIDTH + options.lanes.length * LANE_WIDTH + MARGIN,
        legend + 2 * MARGIN,
        this.#titleWidth() + 2 * MARGIN,
      ),
    );
    for (const row of rows) this.#width = Math.max(this.#width, this.#needed(row));
    this.#bottom = HEAD + 34 + rows.length * ROW + 8;
  }

  toString(): string {
    const { title, notes } = this.#options;
    const height = this.#bottom + 20 + notes.length * 18;
    const size = `width="${String(this.#width)}" height="${String(height)}" viewBox="0 0 ${String(this.#width)} ${String(height)}"`;
    this.#out.push(`<svg xmlns="http://www.w3.org/2000/svg" ${size} role="img" aria-label="${escape(title)}">`);
    this.#out.push(`<style>${STYLE}\n</style>`);
    this.#out.push(`<rect class="paper" width="100%" height="100%"/>`);
    this.#text(MARGIN, 28, title, 'ink title');
    this.#legend();
    this.#lanes();
    this.#bars();
    const began = this.#rows[0]?.wallMs ?? 0;
    for (const [at, row] of this.#rows.entries()) this.#row(row, this.#y(at), row.wallMs - began);
    for (const [at, note] of notes.entries()) this.#text(MARGIN, this.#bottom + 22 + at * 18, note, 'dim');
    this.#out.push('</svg>');
    return `${this.#out.join('\n')}\n`;
  }

  #titleWidth(): number {
    const { title, notes } = this.#options;
    return Math.max(title.length * CHAR * 1.28, ...notes.map((note) => note.length * CHAR));
  }

  #y(at: number): number {
    return HEAD + 34 + at * ROW + ROW / 2;
  }

  #x(lane: string): number | undefined {
    const at = this.#options.lanes.indexOf(lane);
    return at < 0 ? undefined : TIME_WIDTH + at * LANE_WIDTH + LANE_WIDTH / 2;
  }

  #legend(): void {
    let x = MARGIN;
    for (const [part, text] of LEGEND) {
      this.#out.push(`<rect class="${PART_CLASS[part]} fill" x="${fixed(x)}" y="46" width="12" height="12" rx="2"/>`);
      this.#text(x + 18, 56, text, 'ink');
      x += 30 + text.length * CHAR;
    }
    const owners = [
      ...new Set(this.#rows.flatMap(({ promisedTo }) => (promisedTo === undefined ? [] : [promisedTo]))),
    ].sort();
    if (owners.length === 0) return;
    const text = 'bar at an acceptor: its promise belongs to';
    this.#text(MARGIN, 80, text, 'ink');
    x = MARGIN + (text.length + 1) * CHAR;
    for (const owner of owners) {
      this.#out.push(`<rect class="${ownerClass(owner)} bar" x="${fixed(x)}" y="70" width="12" height="12" rx="2"/>`);
      this.#text(x + 18, 80, `p${String(owner)}`, 'ink');
      x += 30 + 4 * CHAR;
    }
  }

  #lanes(): void {
    this.#text(MARGIN, HEAD + 18, 'ms', 'dim');
    for (const lane of this.#options.lanes) {
      const x = this.#x(lane) ?? 0;
      const name = longName(lane);
      const width = (name.length + 2) * CHAR;
      this.#out.push(
        `<rect class="box" x="${fixed(x - width / 2)}" y="${String(HEAD)}" width="${fixed(width)}" height="26" rx="4"/>`,
        `<line class="lane" x1="${fixed(x)}" y1="${String(HEAD + 26)}" x2="${fixed(x)}" y2="${String(this.#bottom)}"/>`,
      );
      this.#text(x, HEAD + 17, name, 'ink head', 'middle');
    }
  }

  /** From each promise to the next one of that acceptor. Only of one log: bars of several would say nothing. */
  #bars(): void {
    const logs = new Set(this.#rows.flatMap(({ promisedTo, log }) => (promisedTo === undefined ? [] : [log])));
    if (logs.size !== 1) return;
    const open = new Map<string, { y: number; owner: number }>();
    const close = (lane: string, y: number): void => {
      const bar = open.get(lane);
      const x = this.#x(lane);
      if (bar === undefined || x === undefined) return;
      this.#out.push(
        `<rect class="${ownerClass(bar.owner)} bar" x="${fixed(x - 4)}" y="${fixed(bar.y)}" width="8" height="${fixed(y - bar.y)}"/>`,
      );
    };
    for (const [at, { promisedTo, from }] of this.#rows.entries()) {
      if (promisedTo === undefined) continue;
      close(from, this.#y(at));
      open.set(from, { y: this.#y(at), owner: promisedTo });
    }
    for (const lane of open.keys()) close(lane, this.#bottom);
  }

  #row(row: Row, y: number, ms: number): void {
    this.#out.push(`<g class="${PART_CLASS[row.part]}"><title>${escape(row.text)}</title>`);
    this.#text(TIME_WIDTH - 14, y + 4, ms.toFixed(1), 'dim', 'end');
    const from = this.#x(row.from);
    const targets = row.to.flatMap((lane) => this.#x(lane) ?? []).filter((x) => x !== from);
    if (from === undefined || targets.length === 0) this.#dot(row, from ?? targets[0], y);
    else this.#arrow(row, from, targets, y);
    this.#out.push('</g>');
  }

  #dot(row: Row, x: number | undefined, y: number): void {
    if (x === undefined) return;
    this.#out.push(`<circle class="fill" cx="${fixed(x)}" cy="${fixed(y)}" r="4"/>`);
    const text = cut(row.text);
    const width = text.length * CHAR;
    // Where the right side has no room for it, it stands left of its lane.
    const isLeft = x + 10 + width > this.#width - 6 && x - 10 - width > TIME_WIDTH - 10;
    this.#label(isLeft ? x - 10 - width : x + 10, y, text);
  }

  /** The width at which a row's text has room beside its arrow, where it has none within it or to the left. */
  #needed(row: Row): number {
    const stops = [row.from, ...row.to].flatMap((lane) => this.#x(lane) ?? []).sort((a, b) => a - b);
    const width = cut(row.text).length * CHAR;
    if (stops.length < 2 || this.#place(stops, width) >= TIME_WIDTH - 10) return 0;
    return Math.ceil((stops.at(-1) ?? 0) + ARROWHEAD + width + 6);
  }

  #arrow(row: Row, from: number, targets: readonly number[], y: number): void {
    const stops = [from, ...targets].sort((a, b) => a - b);
    const left = stops[0] ?? from;
    const right = stops.at(-1) ?? from;
    this.#out.push(`<line class="line" x1="${fixed(left)}" y1="${fixed(y)}" x2="${fixed(right)}" y2="${fixed(y)}"/>`);
    const text = cut(row.text);
    this.#label(this.#place(stops, text.length * CHAR), y, text);
    this.#out.push(`<circle class="fill" cx="${fixed(from)}" cy="${fixed(y)}" r="2.5"/>`);
    for (const x of targets) {
      const back = x > from ? x - 9 : x + 9;
      this.#out.push(
        `<path class="fill" d="M${fixed(x)} ${fixed(y)} L${fixed(back)} ${fixed(y - 4.5)} L${fixed(back)} ${fixed(y + 4.5)} Z"/>`,
      );
    }
  }

  /** Where a text begins that hides no arrowhead: in the first gap that it fits, else beside the arrow, where that is on the page. */
  #place(stops: readonly number[], width: number): number {
    for (let at = 1; at < stops.length; at++) {
      const [left = 0, right = 0] = stops.slice(at - 1, at + 1);
      if (right - left >= width + 2 * ARROWHEAD) return (left + right - width) / 2;
    }
    const right = stops.at(-1) ?? 0;
    return right + ARROWHEAD + width < this.#width ? right + ARROWHEAD : (stops[0] ?? 0) - ARROWHEAD - width;
  }

  #label(x: number, y: number, text: string): void {
    const width = text.length * CHAR;
    this.#out.push(
      `<rect class="back" x="${fixed(x - 3)}" y="${fixed(y - 9)}" width="${fixed(width + 6)}" height="18" rx="3"/>`,
    );
    this.#text(x, y + 4, text, 'text');
  }

  #text(x: number, y: number, text: string, kind: string, anchor = 'start'): void {
    const place = `x="${fixed(x)}" y="${fixed(y)}" class="${kind}"${anchor === 'start' ? '' : ` text-anchor="${anchor}"`}`;
    // The width is given, so that another font cannot make it longer than its room.
    const length = kind.includes('title')
      ? ''
      : ` textLength="${fixed(text.length * CHAR)}" lengthAdjust="spacingAndGlyphs"`;
    this.#out.push(`<text ${place}${length}>${escape(text)}</text>`);
  }
}

function ownerClass(proposer: number): string {
  return `p${String(proposer % OWNERS)}`;
}

function longName(lane: string): string {
  const role = { p: 'proposer', a: 'acceptor', l: 'learner' }[lane.slice(0, 1)] ?? lane;
  return `${role} ${lane.slice(1)}`;
}

function cut(text: string): string {
  const shown = showLine(text);
  return shown.length > TEXT_MAX ? `${shown.slice(0, TEXT_MAX - 1)}…` : shown;
}

function fixed(n: number): string {
  return String(Math.round(n * 10) / 10);
}

const ENTITY: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

function escape(text: string): string {
  return showLine(text).replaceAll(/[&<>"]/g, (character) => ENTITY[character] ?? '');
}
