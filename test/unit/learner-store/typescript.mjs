// Lets a child process run the tests' TypeScript as jest does, through the same compiler.
import { register } from 'node:module';

register('./typescript-hooks.mjs', import.meta.url);
