/**
 * What e2e.mjs runs in a pod: proposes values one after the other until SIGTERM, and prints a line for each answer. Values are
 * numbered; one whose outcome is unknown is said to be so and not proposed again under its number.
 *
 *   node load.mjs LOG PROPOSER…       with SYNOD_ROOT, the folder of the image's program (default /synod)
 */
const root = process.env.SYNOD_ROOT ?? '/synod';
const { connect } = await import(`file://${root}/dist/shared/client/index.js`);

const [log, ...proposers] = process.argv.slice(2);
const synod = connect({ proposers, timeoutMs: 60_000 });
let stopping = false;
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => (stopping = true));
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

for (let number = 1; !stopping; number++) {
  const value = `load ${number}`;
  try {
    const { slot } = await synod.propose(log, Buffer.from(value));
    say({ at: Date.now(), value, slot });
  } catch (error) {
    say({ at: Date.now(), value, failed: error.message, outcome: error.outcome ?? 'unknown' });
    // Whoever refuses at once would be asked thousands of times.
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
say({ done: true });
synod.close();
