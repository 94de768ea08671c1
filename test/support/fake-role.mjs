/**
 * A role that does nothing but what a supervisor sees of one: it listens on its HTTP port, is ready after a moment, notes what
 * happened to it in FAKE_JOURNAL, and ends as it is told to.
 */
import { appendFileSync, mkdirSync } from 'node:fs';
import { createServer } from 'node:http';

const flag = (name) => process.argv[process.argv.indexOf(name) + 1];
const role = process.argv[2];
const name = `${role}-${flag('--id')}`;
const note = (what) => appendFileSync(process.env.FAKE_JOURNAL, `${name} ${what}\n`);

if (process.env.FAKE_REFUSE?.split(' ').includes(name)) {
  process.stdout.write(`${JSON.stringify({ level: 'fatal', msg: 'the disk is older than it once was' })}\n`);
  process.exit(78);
}
if (process.env.FAKE_CRASH === name) throw new Error('no luck today');
if (role !== 'proposer') mkdirSync(flag('--data'), { recursive: true });
note(`started ${process.pid} ${process.argv.slice(3).join(' ')}`);
const [host, port] = flag('--http').split(':');
let asked = 0;
createServer((request, response) => {
  asked++;
  const ready = asked > 1 && process.env.FAKE_NEVER_READY !== name;
  response.writeHead(ready ? 200 : 503);
  response.end(ready ? 'ok\n' : '[-] quorum: 1 of 3 answer\nnot ready\n');
}).listen(Number(port), host);
const stop = (why) => {
  note(`stopped by ${why}`);
  process.exit(0);
};
process.on('SIGTERM', () => process.env.FAKE_STUBBORN === name || stop('SIGTERM'));
process.stdin.on('end', () => stop('end of input')).resume();
