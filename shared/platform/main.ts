/** The first lines of every role's `main.ts`. */
import { fileURLToPath } from 'node:url';
import type { z } from 'zod';
import { SynodError, messageOf } from '../base/errors.ts';
import { loadConfig } from './config/load.ts';
import type { Loaded } from './config/load.ts';
import { EXIT } from './lifecycle.ts';

export type Configured<T> = Extract<Loaded<T>, { kind: 'config' }>;

/** Loads the configuration from this process's arguments and environment; prints help or every fault, and exits, when it must. */
export function configure<S extends z.ZodObject>(schema: S, name: string, summary: string): Configured<z.output<S>> {
  try {
    const loaded = loadConfig(schema, { name, summary, argv: process.argv.slice(2), env: process.env });
    if (loaded.kind === 'config') return loaded;
    process.stdout.write(loaded.text);
    process.exit(EXIT.ok);
  } catch (error) {
    if (!(error instanceof SynodError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exit(EXIT.refused);
  }
}

/** The descriptors of the protocol. Written by the build, beside the compiled rooms. */
const DESCRIPTORS = new URL('../../synod.binpb', import.meta.url);

/** What a role's ports need to serve gRPC reflection, where its configuration asks for that. */
export function reflection(config: { readonly reflection: boolean }): { readonly reflectionFile?: string } {
  return config.reflection ? { reflectionFile: fileURLToPath(DESCRIPTORS) } : {};
}

/** Runs a role's start. An error that is written for people ends the process with its text, another with its stack. */
export function runMain(main: () => Promise<void>): void {
  main().catch((error: unknown) => {
    const refused = error instanceof SynodError && error.code !== 'UNAVAILABLE' && error.code !== 'INTERNAL';
    process.stderr.write(
      `${error instanceof SynodError ? error.message : error instanceof Error ? String(error.stack) : messageOf(error)}\n`,
    );
    process.exit(refused ? EXIT.refused : EXIT.failed);
  });
}
