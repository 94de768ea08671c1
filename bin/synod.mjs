#!/usr/bin/env node
/**
 * One program for every role, as the container image runs it: `synod acceptor --id 1 …`. The role runs in this very process, so that
 * signals reach it where it is process 1.
 */
import { existsSync } from 'node:fs';

const PROGRAMS = {
  acceptor: 'services/acceptor/main.js',
  proposer: 'services/proposer/main.js',
  learner: 'services/learner/main.js',
  ctl: 'services/cli/main.js',
};

/** Wrong configuration, as with the roles: another start ends the same way. */
const REFUSED = 78;
/** Ended by SIGTERM. */
const TERMINATED = 143;

const HELP = `synod: one program for every role of a Synod cluster.

  synod acceptor [settings]   promises and votes, and keeps both in a journal
  synod proposer [settings]   takes proposals and leads logs
  synod learner [settings]    learns what is chosen, applies it, answers reads
  synod ctl COMMAND           looks at a cluster and operates it: the same as synodctl

Settings are flags, variables SYNOD_… or a file; each role lists its own with --help.

Examples:
  synod acceptor --id 1 --cluster prod --listen 0.0.0.0:7101 --data /data/synod --acceptors 1=a1:7101,2=a2:7101,3=a3:7101
  synod ctl status --json

Exit codes: those of the role (0 stopped as asked, 1 failed, 78 configuration or data is wrong) or of synodctl; ${REFUSED} where
there is no such role.
`;

const [word] = process.argv.slice(2);
if (word === '--help' || word === '-h') {
  process.stdout.write(HELP);
} else if (word === undefined || !Object.hasOwn(PROGRAMS, word)) {
  const fault = word === undefined ? 'no role is named' : `there is no role ${JSON.stringify(word)}`;
  process.stderr.write(
    `synod: ${fault}; name one of ${Object.keys(PROGRAMS).join(', ')}, as in: synod acceptor --help\n`,
  );
  process.exitCode = REFUSED;
} else {
  await become(word);
}

async function become(role) {
  // Process 1 is not ended by a signal that nobody handles, and a role handles it only once it is loaded.
  const early = () => process.exit(TERMINATED);
  process.once('SIGTERM', early);
  const program = new URL(`../dist/${PROGRAMS[role]}`, import.meta.url);
  if (!existsSync(program)) {
    const { prepare } = await import('../deploy/local/prepare.mjs');
    await prepare();
  }
  process.argv.splice(2, 1);
  await import(program.href);
  // A role has its own handler by now; synodctl has none.
  if (role !== 'ctl') process.off('SIGTERM', early);
}
