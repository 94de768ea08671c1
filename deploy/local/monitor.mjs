/** `npm run monitor`: installs and builds what is missing, then runs a Prometheus for the local cluster. */
import { ROOT, prepare } from './prepare.mjs';

await prepare();
const { main } = await import('../../dist/deploy/local/monitor.js');
await main(process.argv.slice(2), ROOT);
