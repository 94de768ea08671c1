/** `npm run demo -- NAME`: installs and builds what is missing, then plays a demonstration. */
import { prepare } from './prepare.mjs';

await prepare();
const { main } = await import('../../dist/deploy/local/demo.js');
await main(process.argv.slice(2));
