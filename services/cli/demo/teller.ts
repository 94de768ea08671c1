/** How a demonstration is told: as text of at most 80 columns with the messages drawn between the lanes, or one JSON object a line. */
import { ageText } from '../table.ts';
import { showLine } from '../text.ts';
import { TextChart } from '../trace/chart.ts';
import { jsonLine } from '../trace/line.ts';
import type { Row } from '../trace/rows.ts';
import type { Traced } from '../../../shared/client/index.ts';
import type { Io } from '../io.ts';
import type { Verdict } from './claims.ts';

const COLUMNS = 80;
const BOLD = 1;
const GREEN = 32;
const RED = 31;
/** The seconds that an audience has for a scene and for a claim, with --slow. */
const SCENE_MS = 5_000;
const CLAIM_MS = 2_500;

export interface TellerOptions {
  readonly demo: string;
  readonly json: boolean;
  readonly slow: boolean;
  readonly lanes: readonly string[];
  readonly wait: (ms: number) => Promise<void>;
}

export class Teller {
  readonly #io: Io;
  readonly #options: TellerOptions;
  readonly #chart: TextChart;
  #scenes = 0;
  #ended = false;

  constructor(io: Io, options: TellerOptions) {
    this.#io = io;
    this.#options = options;
    this.#chart = new TextChart(options.lanes, COLUMNS, io.color ?? false);
  }

  title(text: string): void {
    this.#say({ title: text }, ['', this.#paint(BOLD, text)]);
  }

  /** A scene begins: what will be done, before it is done. */
  async scene(text: string): Promise<void> {
    this.#scenes++;
    const head = this.#paint(90, this.#chart.head());
    this.#say({ scene: text }, ['', ...wrap(`${String(this.#scenes)}. ${text}`, ''), '', head]);
    await this.#pause(SCENE_MS);
  }

  /** What has just happened, or is done now. Never waits: what comes next may be about to happen. */
  say(text: string): void {
    this.#say({ text }, wrap(text, '   '));
  }

  /** Something that happened, as the member told it. For programs; people are shown rows. */
  event(event: Traced): void {
    if (this.#options.json && !this.#ended)
      this.#io.out(`{"demo":${JSON.stringify(this.#options.demo)},"event":${jsonLine(event)}}`);
  }

  row(row: Row): void {
    if (this.#options.json || this.#ended) return;
    for (const line of this.#chart.lines(row)) this.#io.out(line);
  }

  /** Figures: one object for programs, lines as they are for people. */
  figures(what: object, lines: readonly string[]): void {
    this.#say(what, ['', ...lines.map((line) => (line === '' ? '' : `   ${line}`))]);
  }

  async claim(text: string, { holds, because }: Verdict): Promise<void> {
    const mark = this.#paint(holds ? GREEN : RED, holds ? '✓' : '✗');
    const [first = '', ...rest] = wrap(text, '     ');
    this.#say({ claim: text, holds, because }, [
      ` ${mark}   ${first.trimStart()}`,
      ...rest,
      ...wrap(`(${because})`, '     ').map((line) => this.#paint(90, line)),
    ]);
    await this.#pause(CLAIM_MS);
  }

  /** `log`: where something can be looked at; `stays`: the cluster runs on for that. */
  end(claims: number, ms: number, log: string, stays: boolean): void {
    // What happens from here on belongs to no scene.
    this.#ended = true;
    const text = `${String(claims)} claims in ${ageText(ms)}, and the events bear out every one.`;
    const more = `What is left of it: npx synodctl log --log ${log} --all`;
    this.#say({ done: true, claims, log }, ['', text, ...(stays ? [more] : [])]);
  }

  #say(fields: object, lines: readonly string[]): void {
    const { json, demo } = this.#options;
    if (json) this.#io.out(JSON.stringify({ demo, ...fields }));
    else for (const line of lines) this.#io.out(line);
  }

  #pause(ms: number): Promise<void> {
    return this.#options.slow && !this.#options.json ? this.#options.wait(ms) : Promise.resolve();
  }

  #paint(color: number, text: string): string {
    return this.#io.color === true && text !== '' ? `\u001b[${String(color)}m${text}\u001b[0m` : text;
  }
}

/** Lines of at most 80 columns; words are not cut. */
export function wrap(text: string, indent: string): string[] {
  const lines: string[] = [];
  let line = indent;
  for (const word of showLine(text).split(' ')) {
    if (line.length + 1 + word.length > COLUMNS && line.trim() !== '') {
      lines.push(line);
      line = indent;
    }
    line += line === indent ? word : ` ${word}`;
  }
  return [...lines, line];
}
