/**
 * The result as one page of HTML that needs nothing else: a timeline of what clients got, who led, and who was hurt, all on one scale of
 * time, and the faults as a list.
 */
import { again, count, seconds } from './report.ts';
import type { Bucket, ChaosResult, FaultRecord } from './result.ts';

const WIDTH = 1_160;
/** Room for the names of rows. */
const LEFT = 96;
const PLOT = WIDTH - LEFT - 16;
const ROW = 16;
const GAP = 26;
const RATE_HEIGHT = 120;
const SLOW_HEIGHT = 60;

/** Faults in the order of the legend, with their colours. */
const COLOURS: Readonly<Record<string, string>> = {
  ...{ kill: '#c0392b', pause: '#8e5bb5', cut: '#d9822b', drop: '#b5a117', delay: '#5b8db5' },
  ...{ 'sync error': '#a0446b', 'full disk': '#4a7a5c', network: '#7a5230' },
};

export function page(result: ChaosResult): string {
  const isGood = result.violations.length === 0;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Synod chaos, seed ${result.seed}: ${isGood ? 'all in order' : 'broken'}</title>
<style>${STYLE}</style>
</head>
<body>
<h1>Synod under chaos <span class="${isGood ? 'good' : 'bad'}">${isGood ? 'all in order' : `${result.violations.length} sentences broken`}</span></h1>
<p>${isGood ? 'Nothing acknowledged was lost, all learners agree, every history is linearizable.' : 'What is wrong:'}</p>
${
  isGood
    ? ''
    : `<ol class="bad">${result.violations
        .slice(0, 100)
        .map((text) => `<li>${escaped(text)}</li>`)
        .join('')}</ol>`
}
${facts(result)}
<figure>${timeline(result)}</figure>
${faultTable(result.faults)}
${result.skipped.length === 0 ? '' : `<p>Faults that this machine cannot do:</p><ul>${result.skipped.map((line) => `<li>${escaped(line)}</li>`).join('')}</ul>`}
<p class="small">Again: <code>npm run chaos -- ${again(result)}</code>. The seed draws the faults; how processes run in between differs each time.</p>
</body>
</html>`;
}

const STYLE = `
:root { color-scheme: light dark; --ink: #1d2430; --soft: #667; --line: #d5d8de; --paper: #fff; --row: #f4f5f7; --ok: #3a8f5c; --unknown: #d9822b; --none: #9aa1ad; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8ec; --soft: #9aa1ad; --line: #3a404b; --paper: #171a20; --row: #20242c; --ok: #55b87d; } }
body { font: 14px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: ${WIDTH}px; margin: 24px auto; padding: 0 16px; }
h1 { font-size: 22px; margin: 0 0 4px; } h1 span { font-size: 14px; padding: 2px 8px; border-radius: 4px; vertical-align: 3px; color: #fff; }
h1 .good { background: #3a8f5c; } h1 .bad { background: #c0392b; } ol.bad li { overflow-wrap: anywhere; }
dl { display: flex; flex-wrap: wrap; gap: 4px 28px; margin: 12px 0; } dl div { display: flex; flex-direction: column; } dt { color: var(--soft); font-size: 12px; } dd { margin: 0; font-variant-numeric: tabular-nums; }
figure { margin: 16px 0; overflow-x: auto; } svg { display: block; } svg text { font: 11px system-ui, sans-serif; fill: var(--ink); } svg .soft { fill: var(--soft); } svg .head { font-weight: 600; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; } th, td { text-align: left; padding: 3px 12px 3px 0; border-bottom: 1px solid var(--line); } th.n, td.n { text-align: right; white-space: nowrap; }
.small, summary { color: var(--soft); } code { background: var(--row); padding: 1px 4px; } summary { cursor: pointer; margin: 8px 0; }
`;

function facts({ shape, counts, judged, okBeforeFaults, ...of }: ChaosResult): string {
  const rows: readonly (readonly [string, string])[] = [
    [
      'cluster',
      `${shape.acceptors} acceptors (${shape.quorum ?? 'majority'}), ${shape.proposers} proposers, ${shape.learners} learners`,
    ],
    ['seed', String(of.seed)],
    ['time', seconds(of.durationMs)],
    ['succeeded', count(counts.ok)],
    ['outcome unknown', count(counts.unknown)],
    ['without effect', count(counts.none)],
    ['before the first fault', count(okBeforeFaults)],
    ['faults', count(of.faults.length)],
    ['judged', `${count(judged.histories)} histories, ${count(judged.operations)} operations`],
    ['when', of.when.replace('T', ' ').slice(0, 16)],
    ['commit', of.commit?.slice(0, 10) ?? 'unknown'],
    ['machine', `${of.machine}, Node ${of.node}`],
  ];
  return `<dl>${rows.map(([name, value]) => `<div><dt>${name}</dt><dd>${escaped(value)}</dd></div>`).join('')}</dl>`;
}

/** A part of the drawing, and its height. */
interface Panel {
  readonly svg: string;
  readonly height: number;
}

function timeline(result: ChaosResult): string {
  const panels = [legend(), rates(result), slowest(result), leaders(result), clients(result), members(result)];
  let top = 0;
  const placed = panels.map(({ svg, height }) => {
    const group = `<g transform="translate(0 ${top})">${svg}</g>`;
    top += height + GAP;
    return group;
  });
  const axis = axisOf(result, top - GAP);
  return `<svg width="${WIDTH}" height="${top + 10}" viewBox="0 0 ${WIDTH} ${top + 10}" role="img" aria-label="Timeline of operations, leaders and faults">${axis}${placed.join('')}</svg>`;
}

/** Lines through all panels at round seconds. */
function axisOf({ durationMs }: ChaosResult, bottom: number): string {
  const step =
    [1, 2, 5, 10, 20, 60, 120, 300, 600, 1_800, 3_600, 14_400].find((each) => durationMs / 1_000 / each <= 16) ??
    86_400;
  const lines: string[] = [];
  for (let at = 0; at <= durationMs / 1_000; at += step) {
    const x = fixed(LEFT + (PLOT * at * 1_000) / durationMs);
    lines.push(`<line x1="${x}" x2="${x}" y1="30" y2="${bottom}" stroke="var(--line)" stroke-width="0.5"/>`);
    lines.push(`<text class="soft" x="${x}" y="${bottom + 14}" text-anchor="middle">${at} s</text>`);
  }
  return lines.join('');
}

function legend(): Panel {
  const outcomes: [string, string][] = [
    ['succeeded', 'var(--ok)'],
    ['outcome unknown', 'var(--unknown)'],
    ['without effect', 'var(--none)'],
  ];
  let x = LEFT;
  const items = [...outcomes, ...Object.entries(COLOURS)].map(([name, colour]) => {
    const item = `<rect x="${x}" y="2" width="10" height="10" fill="${colour}"/><text x="${x + 14}" y="11">${name}</text>`;
    x += 30 + 6.2 * name.length;
    return item;
  });
  return { svg: items.join(''), height: 8 };
}

/** Operations a second, one on top of the other by outcome. */
function rates({ buckets, bucketMs, durationMs }: ChaosResult): Panel {
  const total = (each: Bucket): number => each.ok + each.unknown + each.none;
  const most = Math.max(1, ...buckets.map(total));
  const width = (PLOT * bucketMs) / durationMs;
  const bars = buckets.flatMap((bucket, at) => {
    const title = `<title>${seconds(at * bucketMs)}: ${bucket.ok} ok, ${bucket.unknown} unknown, ${bucket.none} without effect</title>`;
    let y = RATE_HEIGHT;
    return (['ok', 'none', 'unknown'] as const).map((outcome) => {
      const height = (RATE_HEIGHT * bucket[outcome]) / most;
      y -= height;
      return bar(LEFT + at * width, y, Math.min(width, xEnd(at, width)), height, `var(--${outcome})`, title);
    });
  });
  const perSecond = Math.round((1_000 * most) / bucketMs);
  const marks =
    `<text class="head" x="0" y="10">operations</text><text class="soft" x="0" y="24">a second</text>` +
    `<text class="soft" x="${LEFT - 6}" y="10" text-anchor="end">${perSecond}</text>` +
    `<text class="soft" x="${LEFT - 6}" y="${RATE_HEIGHT}" text-anchor="end">0</text>`;
  return { svg: marks + bars.join('') + floor(RATE_HEIGHT), height: RATE_HEIGHT };
}

/** The last column may reach beyond the end of the run. */
function xEnd(at: number, width: number): number {
  return Math.max(0, PLOT - at * width);
}

/** The slowest success, on a scale of powers of ten: a gap in service is a peak. */
function slowest({ buckets, bucketMs, durationMs }: ChaosResult): Panel {
  const width = (PLOT * bucketMs) / durationMs;
  const most = 10_000;
  const heightOf = (ms: number): number =>
    (SLOW_HEIGHT * Math.log10(Math.max(1, Math.min(most, ms)))) / Math.log10(most);
  const bars = buckets.map(({ slowestMs }, at) => {
    const height = heightOf(slowestMs);
    const title = `<title>${seconds(at * bucketMs)}: ${slowestMs} ms</title>`;
    return bar(LEFT + at * width, SLOW_HEIGHT - height, Math.min(width, xEnd(at, width)), height, '#5b8db5', title);
  });
  const marks = [10, 100, 1_000, 10_000].map((ms) => {
    const y = fixed(SLOW_HEIGHT - heightOf(ms));
    const name = ms < 1_000 ? `${ms} ms` : `${ms / 1_000} s`;
    return `<line x1="${LEFT}" x2="${LEFT + PLOT}" y1="${y}" y2="${y}" stroke="var(--line)" stroke-width="0.5"/><text class="soft" x="${LEFT - 6}" y="${fixed(Number(y) + 4)}" text-anchor="end">${name}</text>`;
  });
  const head = `<text class="head" x="0" y="10">slowest</text>`;
  return { svg: head + marks.join('') + bars.join('') + floor(SLOW_HEIGHT), height: SLOW_HEIGHT };
}

/** Which proposer led, as the answers say; the stronger, the more of them named it. Several at once lead different logs. */
function leaders({ shape, buckets, bucketMs, durationMs }: ChaosResult): Panel {
  const width = (PLOT * bucketMs) / durationMs;
  const rows = Array.from({ length: shape.proposers }, (_, at) => {
    const cells = buckets.map(({ leaders: named }, column) => {
      const all = Object.values(named).reduce((sum, each) => sum + each, 0);
      const own = named[String(at + 1)] ?? 0;
      if (own === 0) return '';
      const title = `<title>${seconds(column * bucketMs)}: ${own} of ${all} answers</title>`;
      const cell = bar(
        LEFT + column * width,
        ROW * at + 2,
        Math.min(width, xEnd(column, width)),
        ROW - 4,
        '#3b6ea8',
        title,
      );
      return cell.replace('<rect', `<rect opacity="${fixed(0.25 + (0.75 * own) / all)}"`);
    });
    return row(`proposer ${at + 1}`, at) + cells.join('');
  });
  return { svg: heading('leaders by answers') + rows.join(''), height: ROW * shape.proposers };
}

/** For each client, whether its operations succeeded. */
function clients({ buckets, bucketMs, durationMs, clients: many }: ChaosResult): Panel {
  const width = (PLOT * bucketMs) / durationMs;
  const rows = Array.from({ length: many }, (_, at) => {
    const cells = buckets.map(({ clients: all }, column) => {
      const [ok, other] = all[at] ?? [0, 0];
      if (ok + other === 0) return '';
      const colour = other === 0 ? 'var(--ok)' : 'var(--unknown)';
      const title = `<title>${seconds(column * bucketMs)}: ${ok} ok, ${other} not</title>`;
      return bar(LEFT + column * width, ROW * at + 2, Math.min(width, xEnd(column, width)), ROW - 4, colour, title);
    });
    return row(`client ${at + 1}`, at) + cells.join('');
  });
  return { svg: heading('clients') + rows.join(''), height: ROW * many };
}

/** Who was hurt, how and how long. Faults of links and of processes may overlap: one above the other in the row. */
function members({ shape, faults, durationMs }: ChaosResult): Panel {
  const names = (['acceptor', 'proposer', 'learner'] as const).flatMap((role) =>
    Array.from({ length: shape[`${role}s`] }, (_, at) => `${role} ${at + 1}`),
  );
  const rows = names.map((name, at) => {
    const bars = faults
      .filter((fault) => fault.members.includes(name))
      .map(({ kind, text, beganMs, endedMs, note }) => {
        const isLink = ['cut', 'drop', 'delay', 'network'].includes(kind);
        const width = Math.max(1.5, (PLOT * (endedMs - beganMs)) / durationMs);
        const title = `<title>${seconds(beganMs)} to ${seconds(endedMs)}: ${escaped(text)}${note === undefined ? '' : ` (${escaped(note)})`}</title>`;
        const y = ROW * at + (isLink ? 2 : ROW / 2);
        return bar(LEFT + (PLOT * beganMs) / durationMs, y, width, ROW / 2 - 2, COLOURS[kind] ?? '#888', title);
      });
    return row(name, at) + bars.join('');
  });
  return {
    svg: heading('faults: of links above, of processes and disks below') + rows.join(''),
    height: ROW * names.length,
  };
}

function faultTable(faults: readonly FaultRecord[]): string {
  const rows = faults.map(
    ({ beganMs, endedMs, text, note }) =>
      `<tr><td class="n">${seconds(beganMs)}</td><td class="n">${seconds(endedMs - beganMs)}</td><td>${escaped(text)}${note === undefined ? '' : ` (${escaped(note)})`}</td></tr>`,
  );
  return `<details><summary>All ${count(faults.length)} faults</summary><table><tr><th class="n">began</th><th class="n">lasted</th><th>what</th></tr>${rows.join('')}</table></details>`;
}

const heading = (text: string): string => `<text class="head" x="${LEFT}" y="-5">${text}</text>`;

const row = (name: string, at: number): string =>
  `<rect x="${LEFT}" y="${ROW * at + 1}" width="${PLOT}" height="${ROW - 2}" fill="var(--row)"/>` +
  `<text x="${LEFT - 6}" y="${ROW * at + 12}" text-anchor="end">${name}</text>`;

const floor = (y: number): string =>
  `<line x1="${LEFT}" x2="${LEFT + PLOT}" y1="${y}" y2="${y}" stroke="var(--soft)" stroke-width="0.7"/>`;

function bar(x: number, y: number, width: number, height: number, fill: string, title: string): string {
  if (height <= 0 || width <= 0) return '';
  return `<rect x="${fixed(x)}" y="${fixed(y)}" width="${fixed(width)}" height="${fixed(height)}" fill="${fill}">${title}</rect>`;
}

const fixed = (value: number): string => value.toFixed(2);

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
