/** FNV-1a over the UTF-16 units of a text: spreads names over proposers and sums up what one leads. Not for safety. */
export function hash32(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) {
    hash ^= text.charCodeAt(i);
    hash = Math.imul(hash, 0x01000193);
  }
  // A last round of mixing, so that names that differ in the last letter only do not all rank the proposers alike.
  hash ^= hash >>> 16;
  hash = Math.imul(hash, 0x85ebca6b);
  return (hash ^ (hash >>> 13)) >>> 0;
}

/** Rendezvous hashing: the proposer that leads a log first, if nobody leads it. Every proposer with the same list agrees. */
export function firstLeader(log: string, proposers: readonly number[]): number {
  let best = 0;
  let bestHash = -1;
  for (const proposer of proposers) {
    const hash = hash32(`${String(proposer)}:${log}`);
    if (hash > bestHash || (hash === bestHash && proposer < best)) {
      best = proposer;
      bestHash = hash;
    }
  }
  return best;
}
