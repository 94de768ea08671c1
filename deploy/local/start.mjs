/** `npm start`: installs and builds what is missing, then runs a whole cluster on this machine. */
import { prepare } from './prepare.mjs';

await prepare();
const { main } = await import('../../dist/deploy/local/cluster.js');
await main(process.argv.slice(2));
