// Goal: what people write in the setting `quorum` is read as they mean it. Method: every form, its canonical form, and what is none.
import { describe, expect, test } from '@jest/globals';
import { idsNamed, isQuorumSetting, quorumSystem } from '../../../shared/paxos/quorum-setting.ts';

describe('the setting of a quorum system', () => {
  test.each([
    ['majority', [1, 2, 3], 'majority'],
    ['sizes:3,2', [1, 2, 3, 4], 'sizes:3,2,3'],
    ['sizes:3,2,4', [1, 2, 3, 4], 'sizes:3,2,4'],
    ['sizes:2,2', [5, 6, 7], 'majority'],
    ['grid:2x3', [1, 2, 3, 4, 5, 6], 'grid:2x3'],
    ['weighted:2=1,1=2,3=1:3,2', [1, 2, 3], 'weighted:1=2,2=1,3=1:3,2,3'],
    ['sets:3+4,2+1,1+2+3/3+1,2+4', [1, 2, 3, 4], 'sets:1+2,3+4/1+3,2+4'],
    ['sets:1+2/1/2+1', [1, 2, 3], 'sets:1+2/1/1+2'],
  ])('%s of %j is %s, and that again is itself', (text, ids, canonical) => {
    expect(isQuorumSetting(text)).toBe(true);
    expect(quorumSystem(text, ids).setting).toBe(canonical);
    expect(quorumSystem(canonical, ids).setting).toBe(canonical);
  });

  test.each([
    ...[
      '',
      'most',
      'majority:2',
      'sizes',
      'sizes:',
      'sizes:3',
      'sizes:3,',
      'sizes:3,2,1,1',
      'sizes:a,b',
      'sizes:-1,3',
      'sizes:1.5,3',
    ],
    ...[
      'grid:2',
      'grid:2x',
      'grid:2x3x4',
      'grid:2,3',
      'weighted:3,2',
      'weighted:1=2:3',
      'weighted:1=2,1=3:3,2',
      'weighted:1:3,2',
    ],
    ...['sets:1+2', 'sets:1+2/', 'sets:/1', 'sets:1/2/3/4', 'sets:1/2/', 'sets:1;2/3', 'SIZES:3,2', 'sizes: 3,2'],
  ])('%j is none', (text) => {
    expect(isQuorumSetting(text)).toBe(false);
    expect(() => quorumSystem(text, [1, 2, 3])).toThrow(/^a quorum system must be majority, sizes:Q1,Q2\[,QF\], grid/);
  });

  test('may name its acceptors itself', () => {
    expect(idsNamed('weighted:7=2,2=1,3=1:3,2')).toEqual([2, 3, 7]);
    expect(idsNamed('sets:3+4,1/4+1')).toEqual([1, 3, 4]);
    expect(idsNamed('grid:2x2')).toEqual([1, 2, 3, 4]);
    expect(idsNamed('sizes:3,2')).toBeUndefined();
    expect(idsNamed('sets:x')).toBeUndefined();
  });
});
