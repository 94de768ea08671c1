/** A proposer: `node dist/services/proposer/main.js --help`. */
import { Lifecycle } from '../../shared/platform/lifecycle.ts';
import { configure, reflection, runMain } from '../../shared/platform/main.ts';
import { createLogger } from '../../shared/platform/telemetry/logger.ts';
import { proposerSettings } from './config.ts';
import { startProposer } from './service.ts';

runMain(async () => {
  const summary = 'Takes proposals for any log, leads logs, and hands proposals to whoever leads.';
  const { config, shown, warnings } = configure(proposerSettings, 'synod-proposer', summary);
  const log = createLogger({ role: 'proposer', id: config.id, level: config['log.level'] });
  const graceMs = config['stop.grace'];
  const lifecycle = new Lifecycle({ log, graceMs });
  lifecycle.install();
  for (const warning of warnings) log.warn({}, warning);
  log.info({ settings: shown }, 'starting');
  const proposer = await startProposer(config, {
    log,
    onFatal: (reason, error) => {
      lifecycle.die(reason, error);
    },
    ...reflection(config),
  });
  // Half of the grace goes to answers and hand-over; calls that are still there then end with outcome unknown.
  lifecycle.onStop('not ready', () => {
    proposer.setStopping();
  });
  lifecycle.onStop('hand over', () => within(graceMs / 2, proposer.drain()));
  lifecycle.onStop('close', () => proposer.close(graceMs / 4));
  log.info({ grpc: proposer.address, http: proposer.httpAddress }, 'serving');
});

async function within(ms: number, work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([work, late]);
  clearTimeout(timer);
}
