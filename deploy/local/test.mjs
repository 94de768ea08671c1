/** `npm test`: installs and builds what is missing, then runs every test. Arguments go to jest. */
import { become, prepare } from './prepare.mjs';

await prepare();
become([
  '--experimental-vm-modules',
  '--disable-warning=ExperimentalWarning',
  'node_modules/jest/bin/jest.js',
  ...process.argv.slice(2),
]);
