/** The learner as a program: `node dist/services/learner/main.js --help`. */
import { Lifecycle } from '../../shared/platform/lifecycle.ts';
import { configure, reflection, runMain } from '../../shared/platform/main.ts';
import { createLogger } from '../../shared/platform/telemetry/logger.ts';
import { learnerSettings } from './config.ts';
import { startLearner } from './learner.ts';

runMain(async () => {
  const { config, shown, warnings } = configure(
    learnerSettings,
    'synod-learner',
    'a learner of a Synod cluster: it learns what is chosen, applies it in order, and answers reads and subscriptions.',
  );
  const log = createLogger({ role: 'learner', id: config.id, level: config['log.level'] });
  const lifecycle = new Lifecycle({ log, graceMs: config['stop.grace'] });
  lifecycle.install();
  for (const warning of warnings) log.warn({}, warning);
  log.info({ settings: shown }, 'starting');

  const learner = await startLearner(config, {
    log,
    onFatal: (reason, error) => {
      lifecycle.die(reason, error);
    },
    onRefused: (reason) => {
      lifecycle.refuse(reason);
    },
    ...reflection(config),
  });
  lifecycle.onStop('learner', () => learner.stop(config['stop.grace']));
});
