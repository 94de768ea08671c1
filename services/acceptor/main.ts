/** The acceptor as a program: `node dist/services/acceptor/main.js --help`. */
import { Lifecycle } from '../../shared/platform/lifecycle.ts';
import { configure, reflection, runMain } from '../../shared/platform/main.ts';
import { createLogger } from '../../shared/platform/telemetry/logger.ts';
import { openData, startAcceptor } from './acceptor.ts';
import { acceptorSettings } from './config.ts';

runMain(async () => {
  const { config, shown, warnings } = configure(
    acceptorSettings,
    'synod-acceptor',
    'an acceptor of a Synod cluster: it promises and votes, and keeps both in a journal.',
  );
  const log = createLogger({ role: 'acceptor', id: config.id, level: config['log.level'] });
  const lifecycle = new Lifecycle({ log, graceMs: config['stop.grace'] });
  lifecycle.install();
  log.info({ settings: shown }, 'starting');
  for (const warning of warnings) log.warn({}, warning);

  const data = await openData(config.data);
  const acceptor = await startAcceptor(config, data.disk, {
    log,
    onFatal: (reason, error) => {
      lifecycle.die(reason, error);
    },
    onRefused: (reason) => {
      lifecycle.refuse(reason);
    },
    ...reflection(config),
  });
  lifecycle.onStop('acceptor', () => acceptor.stop(config['stop.grace']));
  lifecycle.onStop('data folder', data.release);
});
