/** deploy/kubernetes/kind/judge.mjs with types: what e2e:kind concludes from. */

export interface Answer {
  readonly value?: string;
  readonly at?: number;
  readonly slot?: number;
  readonly failed?: string;
  readonly outcome?: string;
}
interface Judge {
  readonly faultsOf: (answers: readonly Answer[], entries: readonly Answer[]) => string[];
  readonly longestGapMs: (answers: readonly Answer[]) => number;
  readonly parseLines: (text: string) => Answer[];
}

export const { faultsOf, longestGapMs, parseLines } = (await import(
  new URL('../../deploy/kubernetes/kind/judge.mjs', import.meta.url).href
)) as Judge;
