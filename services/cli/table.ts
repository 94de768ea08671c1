import Table from 'cli-table3';
import { showLine } from './text.ts';

const NO_LINES = Object.fromEntries(
  'top top-mid top-left top-right bottom bottom-mid bottom-left bottom-right left left-mid mid mid-mid right right-mid'
    .split(' ')
    .map((place) => [place, '']),
);

/** A table without lines, wide enough for what is in it; no cell can break it. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const out = new Table({
    head: [...head],
    chars: { ...NO_LINES, middle: '  ' },
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
  });
  for (const row of rows) out.push(row.map(showLine));
  return out
    .toString()
    .split('\n')
    .map((line) => line.trimEnd());
}

/** `3.2 MiB` */
export function bytesText(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let at = 0;
  let value = bytes;
  for (; value >= 1024 && at < units.length - 1; at++) value /= 1024;
  return `${at === 0 ? String(value) : value.toFixed(1)} ${units[at] ?? ''}`;
}

/** `4d 3h`, `12m 5s`, `850ms` */
export function ageText(ms: number): string {
  if (ms < 1_000) return `${String(Math.round(ms))}ms`;
  const seconds = Math.floor(ms / 1_000);
  const parts: readonly (readonly [number, string])[] = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3_600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'm'],
    [seconds % 60, 's'],
  ];
  const first = parts.findIndex(([count]) => count > 0);
  return parts
    .slice(first, first + 2)
    .filter(([count], at) => at === 0 || count > 0)
    .map(([count, unit]) => `${String(count)}${unit}`)
    .join(' ');
}
