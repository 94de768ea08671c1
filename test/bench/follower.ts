/** A process that follows the traces of all roles, as `synodctl trace` does, and says at the end what came. */
import { mergeTraces } from '../../shared/client/index.ts';

export interface Followed {
  readonly kind: 'ready' | 'ended';
  readonly events: number;
  readonly dropped: number;
}

const stop = new AbortController();
process.once('message', () => {
  stop.abort();
});
process.once('disconnect', () => process.exit(0));

const merged = mergeTraces(process.argv.slice(2), { signal: stop.signal });
await merged.ready;
let events = 0;
process.send?.({ kind: 'ready', events, dropped: 0 } satisfies Followed);
for await (const event of merged) events += event.kind === 'pause' ? 0 : 1;
process.send?.({ kind: 'ended', events, dropped: merged.dropped } satisfies Followed);
