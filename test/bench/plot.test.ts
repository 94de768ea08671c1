// Goal: the plot of `npm run bench -- fast` shows what was measured. Method: few numbers whose places are known.
import { describe, expect, test } from '@jest/globals';
import { plot } from './plot.ts';

const PANEL = {
  ...{ title: 'a & b', x: 'proposers', y: 'a second' },
  series: [
    { name: 'first', points: [[1, 0] as const, [8, 100] as const] },
    { name: 'second <2>', points: [[1, 50] as const, [8, 50] as const] },
  ],
};

describe('a plot', () => {
  const svg = plot([PANEL, PANEL]);

  test('draws each series in each panel, from the first number on the left to the last on the right', () => {
    const lines = [...svg.matchAll(/<polyline[^>]*points="([^"]*)"/g)].map(([, points]) => points);
    expect(lines).toEqual(['62,284 406,36', '62,160 406,160', '62,284 406,36', '62,160 406,160']);
  });

  test('names the axes, their numbers and, once, the series, with marks that differ', () => {
    const words = [...svg.matchAll(/<text[^>]*>([^<]*)</g)].map(([, word]) => word);
    expect(words).toEqual(expect.arrayContaining(['a &amp; b', 'proposers', 'a second', '0', '25', '100', '1', '8']));
    expect(words.filter((word) => word === 'first' || word === 'second &lt;2&gt;')).toHaveLength(2);
    expect([svg.split('<circle').length - 1, svg.split('width="8"').length - 1]).toEqual([5, 5]);
  });

  test('of nothing is still one', () => {
    expect(plot([{ ...PANEL, series: [] }])).toMatch(/^<svg [^]*<\/svg>\n$/);
  });
});
