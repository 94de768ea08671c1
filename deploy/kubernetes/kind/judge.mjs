/** What e2e.mjs concludes from what was answered and what the log holds. Pure, so that it can be tested without a cluster. */

/**
 * What is wrong, a sentence each: an answered value that is missing or in another slot, a value that is there twice, one that had no
 * effect and yet is there, one that nobody proposed.
 * `answers`: `{ value, slot }` or `{ value, failed, outcome }`. `entries`: `{ value, slot }` of the log.
 */
export function faultsOf(answers, entries) {
  const faults = [];
  const slots = new Map();
  for (const { value, slot } of entries) slots.set(value, [...(slots.get(value) ?? []), slot]);
  for (const { value, slot, failed, outcome } of answers) {
    const found = slots.get(value) ?? [];
    slots.delete(value);
    if (found.length > 1) faults.push(`${value} is chosen and applied twice: slots ${found.join(', ')}`);
    else if (failed !== undefined && outcome === 'none' && found.length > 0)
      faults.push(`${value} was refused without effect, and is in slot ${found[0]}`);
    else if (failed === undefined && found[0] !== slot)
      faults.push(
        `${value} was answered with slot ${slot}, and is ${found.length === 0 ? 'lost' : `in slot ${found[0]}`}`,
      );
  }
  // The one that was under way when the load ended may be there, and no more than that.
  const more = [...slots.keys()];
  if (more.length > 1) faults.push(`the log holds values that nobody was answered for: ${more.slice(0, 5).join(', ')}`);
  return faults;
}

/** Milliseconds of the longest time without an answered value. */
export function longestGapMs(answers) {
  const times = answers.filter(({ failed }) => failed === undefined).map(({ at }) => at);
  return times.slice(1).reduce((longest, at, i) => Math.max(longest, at - times[i]), 0);
}

/** Lines of JSON; others, such as a warning of Node, are left out. */
export function parseLines(text) {
  return text
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line));
}
