#!/usr/bin/env node
/** Starts the built `synodctl`, after a build where none is there yet. */
import { existsSync } from 'node:fs';

const built = new URL('../dist/services/cli/main.js', import.meta.url);
if (!existsSync(built)) {
  const { prepare } = await import('../deploy/local/prepare.mjs');
  await prepare();
}
await import(built.href);
