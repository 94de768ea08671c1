/**
 * A machine's state as a text: two machines with the same text do the same from here on. It reads private fields, which the copy
 * that the checker runs has as plain ones (`copy.ts`).
 */

/** Times begin here, so that a time is told from any other number by its size. Milliseconds. */
export const TIME_BEGIN = 1e12;
/** One tick: longer than every timer, so that a tick fires all that run. Milliseconds. */
export const TIME_JUMP = 1e9;
const TIME_MIN = 1e11;

/**
 * What never decides anything in these worlds:
 * - what is given and never changes, and what is scratch of one step;
 * - when an owner was last heard, with a grace of 0; heartbeats and the probe, which are switched off;
 * - positions in the journal and what counts them: what they lead to is in the key of the journal itself (`nodes.ts`).
 */
const IGNORED = new Set([
  ...['$options', '$quorum', 'options', 'quorum', 'noOp', '$ports', '$journal', '$cut', '$perform', '$endTurn'],
  ...['$out', 'out', '$now', 'now', 'random', '$isScheduled', '$events'],
  ...['$heard', '$heartbeatAt', '$tickAt', '$probeAt', '$trimAt', '$dirty', '$compactAt'],
  // What a proposal carries for people.
  ...['lastSlot', 'earlierSlot', 'rounds', 'cameAsRetry', '$watched'],
  ...['$position', 'position', 'index', 'oldVotesVersion', '$loadId', '$trimmedBelow'],
]);

/**
 * The text of a value. Times become `<`, `=` or `>`: past, now, to come; every timer is shorter than a jump, so more than that
 * cannot be told apart by anything that follows. Maps and sets are sorted: the order of arrival decides only the order of what
 * is sent, and the network keeps none.
 */
export function canonical(value: unknown, now = TIME_BEGIN): string {
  const seen = new Map<object, number>();
  const visit = (v: unknown): string => {
    if (typeof v === 'number') return v < TIME_MIN ? String(v) : v < now ? '<' : v === now ? '=' : '>';
    if (typeof v === 'string') return JSON.stringify(v);
    if (typeof v !== 'object' || v === null) return typeof v === 'function' ? 'f' : String(v);
    if (v instanceof Uint8Array) return `x${Buffer.from(v.buffer, v.byteOffset, v.length).toString('latin1')}`;
    const before = seen.get(v);
    if (before !== undefined) return `@${String(before)}`;
    if (!isPlainValue(v)) seen.set(v, seen.size);
    if (Array.isArray(v)) return `[${v.map(visit).join()}]`;
    if (v instanceof Map)
      return `{${[...v]
        .map(([k, e]) => `${visit(k)}:${visit(e)}`)
        .sort()
        .join()}}`;
    if (v instanceof Set) return `{${[...v].map(visit).sort().join()}}`;
    const fields = v as Record<string, unknown>;
    // Queues and range maps, by what they hold: the items before the head are gone.
    if (Array.isArray(fields['$items']) && typeof fields['$head'] === 'number')
      return `[${fields['$items'].slice(fields['$head']).map(visit).join()}]`;
    const names = Object.keys(fields).filter((name) => !IGNORED.has(name));
    return `(${names
      .sort()
      .map((name) => `${name}:${visit(fields[name])}`)
      .join()})`;
  };
  return visit(value);
}

/** Batches and ballots never change, so whether two are one object means nothing. */
function isPlainValue(v: object): boolean {
  return 'bytes' in v || 'incarnation' in v;
}
