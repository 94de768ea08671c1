/** Lines over a few numbers, as an SVG that needs nothing else to be seen: no script, no font, no style sheet. */

export interface Series {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

export interface Panel {
  readonly title: string;
  readonly x: string;
  readonly y: string;
  readonly series: readonly Series[];
}

/** Told apart without colour as well, by their marks. Readable on white for people who see no red or green. */
const COLOURS = ['#0072b2', '#d55e00', '#009e73', '#666666'] as const;
const MARKS = ['circle', 'square', 'diamond', 'triangle'] as const;
const WIDTH = 420;
const HEIGHT = 330;
const BOX = { left: 62, right: 14, top: 36, bottom: 46 } as const;
const LEGEND_ROW = 20;

/** Panels side by side with one legend below; all must have the same series, in the same order. */
export function plot(panels: readonly Panel[]): string {
  const names = panels[0]?.series.map(({ name }) => name) ?? [];
  const width = WIDTH * panels.length;
  const height = HEIGHT + LEGEND_ROW * names.length + 12;
  const lines = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${String(width)} ${String(height)}" width="${String(width)}" height="${String(height)}" font-family="sans-serif" font-size="12" fill="#222222" role="img">`,
    `  <title>${escaped(panels.map(({ title }) => title).join('; '))}</title>`,
    `  <rect width="${String(width)}" height="${String(height)}" fill="#ffffff"/>`,
    ...panels.flatMap((panel, at) => [
      `  <g transform="translate(${String(at * WIDTH)} 0)">`,
      ...panelLines(panel).map((line) => `    ${line}`),
      '  </g>',
    ]),
    ...names.flatMap((name, at) => {
      const y = HEIGHT + LEGEND_ROW * (at + 0.5);
      return [
        `  ${line([BOX.left, y], [BOX.left + 30, y], colourOf(at))}`,
        `  ${mark(at, BOX.left + 15, y)}`,
        `  <text x="${String(BOX.left + 40)}" y="${String(y + 4)}">${escaped(name)}</text>`,
      ];
    }),
    '</svg>',
  ];
  return `${lines.join('\n')}\n`;
}

function panelLines({ title, x, y, series }: Panel): string[] {
  const xs = [...new Set(series.flatMap(({ points }) => points.map(([at]) => at)))].sort((a, b) => a - b);
  const [least, most] = [xs[0] ?? 0, xs.at(-1) ?? 1];
  const top = niceAbove(Math.max(0, ...series.flatMap(({ points }) => points.map(([, value]) => value))));
  const right = WIDTH - BOX.right;
  const bottom = HEIGHT - BOX.bottom;
  const atX = (value: number): number => BOX.left + ((value - least) / Math.max(1, most - least)) * (right - BOX.left);
  const atY = (value: number): number => bottom - (value / top) * (bottom - BOX.top);
  const middle = (BOX.top + bottom) / 2;
  return [
    `<text x="${String((BOX.left + right) / 2)}" y="20" text-anchor="middle" font-size="14">${escaped(title)}</text>`,
    ...[0, 1, 2, 3, 4].flatMap((step) => {
      const value = (top * step) / 4;
      return [
        line([BOX.left, atY(value)], [right, atY(value)], '#dddddd', 1),
        `<text x="${String(BOX.left - 8)}" y="${fixed(atY(value) + 4)}" text-anchor="end">${numberText(value)}</text>`,
      ];
    }),
    ...xs.map(
      (value) =>
        `<text x="${fixed(atX(value))}" y="${String(bottom + 18)}" text-anchor="middle">${numberText(value)}</text>`,
    ),
    `<text x="${String((BOX.left + right) / 2)}" y="${String(HEIGHT - 10)}" text-anchor="middle">${escaped(x)}</text>`,
    `<text x="16" y="${String(middle)}" text-anchor="middle" transform="rotate(-90 16 ${String(middle)})">${escaped(y)}</text>`,
    ...series.flatMap(({ points }, at) => [
      `<polyline fill="none" stroke="${colourOf(at)}" stroke-width="2" points="${points.map(([px, py]) => `${fixed(atX(px))},${fixed(atY(py))}`).join(' ')}"/>`,
      ...points.map(([px, py]) => mark(at, atX(px), atY(py))),
    ]),
  ];
}

function line(from: readonly [number, number], to: readonly [number, number], colour: string, width = 2): string {
  const [x1, y1, x2, y2] = [...from, ...to].map(fixed);
  return `<line x1="${String(x1)}" y1="${String(y1)}" x2="${String(x2)}" y2="${String(y2)}" stroke="${colour}" stroke-width="${String(width)}"/>`;
}

function mark(at: number, x: number, y: number): string {
  const fill = `fill="${colourOf(at)}"`;
  const shape = MARKS[at % MARKS.length];
  if (shape === 'circle') return `<circle cx="${fixed(x)}" cy="${fixed(y)}" r="4" ${fill}/>`;
  if (shape === 'square') return `<rect x="${fixed(x - 4)}" y="${fixed(y - 4)}" width="8" height="8" ${fill}/>`;
  const corners =
    shape === 'diamond'
      ? [
          [0, -5],
          [5, 0],
          [0, 5],
          [-5, 0],
        ]
      : [
          [0, -5],
          [5, 4],
          [-5, 4],
        ];
  return `<polygon points="${corners.map(([dx = 0, dy = 0]) => `${fixed(x + dx)},${fixed(y + dy)}`).join(' ')}" ${fill}/>`;
}

function colourOf(at: number): string {
  return COLOURS[at % COLOURS.length] ?? '#000000';
}

/** The least of 1, 2, 4, 5 and 8 times a power of ten that is not below. Four steps of it read well. */
function niceAbove(value: number): number {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 5, 8, 10].map((times) => times * power).find((each) => each >= value) ?? 10 * power;
}

function numberText(value: number): string {
  return Number(value.toPrecision(3)).toLocaleString('en-US', { maximumFractionDigits: 2 });
}

function fixed(value: number): string {
  return String(Math.round(value * 10) / 10);
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
