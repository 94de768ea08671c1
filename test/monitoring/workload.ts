/** Makes all kinds of things happen to a cluster, so that what is shown of them can be looked at. */
import { ClientError, connect } from '../../shared/client/index.ts';
import type { SynodClient } from '../../shared/client/index.ts';
import type { Harness } from '../e2e/cluster.ts';
import { eventually, synodctl } from '../e2e/cluster.ts';

const LOG = 'orders';
const FAST_LOG = 'events';
/** Values of the stream: enough for some digests to be compared, and for floors to rise. */
const STREAMED = 2_000;

export class Workload {
  readonly #harness: Harness;
  readonly #clients: SynodClient[];
  readonly #running = new AbortController();
  readonly #lanes: Promise<void>[] = [];
  #failure: Error | undefined;
  #chosen = 0;

  constructor(harness: Harness) {
    this.#harness = harness;
    const { cluster } = harness;
    this.#clients = [1, 2].map(() =>
      connect({
        ...{ cluster: cluster.id, timeoutMs: 30_000, ownConnections: true },
        ...{ proposers: cluster.addresses('proposer'), learners: cluster.addresses('learner') },
      }),
    );
    harness.onStop(() => {
      this.#running.abort();
      for (const client of this.#clients) client.close();
    });
  }

  /** Everything, one after the other, while clients propose and read. */
  async run(): Promise<void> {
    const { cluster } = this.#harness;
    for (const client of this.#clients) this.#lane(() => this.#proposeAndRead(client));
    this.#lane(() => this.#subscribe());
    await this.#grows(20);
    await this.#stream();
    await this.#decrees();
    await this.#fast();
    const traced = synodctl(cluster.portBase, ['trace', '--for', '3s', '--json']);
    await this.#ctl('status');
    await this.#moveLeader();
    await this.#lateMessages();
    await this.#cutLeader();
    await this.#killLeader();
    await this.#killLearner();
    await this.#standStill();
    await this.#grows(20);
    await traced;
    if (this.#failure !== undefined) throw this.#failure;
  }

  async stop(): Promise<void> {
    this.#running.abort();
    await Promise.all(this.#lanes);
    for (const client of this.#clients) client.close();
  }

  #lane(work: () => Promise<void>): void {
    this.#lanes.push(
      work().catch((error: unknown) => {
        if (!this.#running.signal.aborted) this.#failure ??= error instanceof Error ? error : new Error(String(error));
      }),
    );
  }

  async #proposeAndRead(client: SynodClient): Promise<void> {
    for (let i = 0; !this.#running.signal.aborted; i++) {
      const { slot } = await client.propose(LOG, Buffer.from(`order ${i}`));
      this.#chosen++;
      const from = Math.max(0, slot - 10);
      if (i % 8 === 0) await client.read(LOG, { from, linearizable: i % 16 === 0 });
      if (i % 32 === 0) await client.end(LOG);
    }
  }

  async #subscribe(): Promise<void> {
    const [client] = this.#clients;
    if (client === undefined) return;
    for await (const entry of client.subscribe(LOG, { signal: this.#running.signal })) if (entry.slot < 0) return;
  }

  async #grows(by: number): Promise<void> {
    const goal = this.#chosen + by;
    await eventually(`${by} more proposals are chosen`, () => {
      if (this.#failure !== undefined) throw this.#failure;
      return this.#chosen >= goal;
    });
  }

  async #stream(): Promise<void> {
    const stream = this.#clients[0]!.proposeStream(LOG);
    for (let i = 0; i < STREAMED; i++) await stream.write([Buffer.from(`streamed ${i}`)]);
    await stream.finish();
  }

  /** Basic Paxos, a decree that is asked for twice, and one that is refused because its log is led. */
  async #decrees(): Promise<void> {
    const decide = (log: string): Promise<unknown>[] =>
      this.#clients.map((client, at) => client.decide(log, Buffer.from(`by ${at}`)));
    await Promise.all(['name', 'owner', 'flag'].flatMap(decide));
    for (let i = 0; i < 3; i++) {
      const refused = await this.#clients[0]!.decide(LOG, Buffer.from('no')).then(
        () => 'chosen',
        (error: unknown) => (error instanceof ClientError ? error.code : String(error)),
      );
      if (refused !== 'FAILED_PRECONDITION') throw new Error(`a decree in a led log was not refused: ${refused}`);
    }
  }

  /** One at a time, which goes the fast way; then two at once, of which each reaches another acceptor first: they collide. */
  async #fast(): Promise<void> {
    const { cluster } = this.#harness;
    const fast = { protocol: 'fast' } as const;
    // Each through a proposer of its own: two by one proposer do not collide.
    const clients = cluster.addresses('proposer').map((proposer) => {
      const learners = cluster.addresses('learner');
      return connect({ cluster: cluster.id, proposers: [proposer], learners, timeoutMs: 30_000, ownConnections: true });
    });
    const one = (client: SynodClient): Promise<unknown> => client.propose(FAST_LOG, Buffer.from('event'), fast);
    for (let i = 0; i < 20; i++) await one(clients[i % 2]!);
    await this.#ctl('fault', 'delay', '100ms', 'proposer-1', 'to', 'acceptor-3');
    await this.#ctl('fault', 'delay', '100ms', 'proposer-2', 'to', 'acceptor-1');
    for (let i = 0; i < 3; i++) await Promise.all(clients.map(one));
    let tries = 0;
    await eventually('FAST decrees collide', async () => {
      const log = `decree-${++tries}`;
      const decided = await Promise.all(clients.map((each, at) => each.decide(log, Buffer.from(`by ${at}`), fast)));
      return decided.some(({ path }) => path === 'recovered');
    });
    await this.#ctl('fault', 'heal');
    for (const client of clients) client.close();
  }

  async #moveLeader(): Promise<void> {
    const leader = await this.#harness.leads(LOG);
    // Where the other one does not lead in time, the outcome is unknown (3), and it may lead yet.
    await this.#ctlMay(0, 3)('leader', 'move', LOG, String(3 - leader));
    await this.#grows(20);
  }

  async #lateMessages(): Promise<void> {
    await this.#ctl('fault', 'delay', '20ms', '--jitter', '10ms', 'proposers', 'to', 'acceptors');
    await this.#grows(20);
    await this.#ctl('fault', 'heal');
  }

  /** Both proposers lose the acceptors: nobody leads, a proposal meets its deadline, a read comes too late. */
  async #cutLeader(): Promise<void> {
    const { cluster } = this.#harness;
    await this.#ctl('fault', 'partition', 'proposers,learner-1', 'from', 'acceptors');
    const impatient = connect({
      cluster: cluster.id,
      proposers: cluster.addresses('proposer'),
      learners: cluster.addresses('learner').slice(0, 1),
      ownConnections: true,
    });
    const late = [
      impatient.propose('new', Buffer.from('x'), { timeoutMs: 1_500 }),
      impatient.propose(LOG, Buffer.from('x'), { timeoutMs: 1_500 }),
      impatient.read(LOG, { timeoutMs: 1_500 }),
    ];
    const ended = await Promise.allSettled(late);
    impatient.close();
    if (ended.some(({ status }) => status === 'fulfilled')) throw new Error('something was answered behind a cut');
    await this.#ctl('fault', 'heal');
    await this.#grows(20);
  }

  async #killLeader(): Promise<void> {
    const leader = await this.#harness.leads(LOG);
    await this.#harness.end('proposer', leader);
    await this.#grows(20);
    await this.#harness.back('proposer', leader);
  }

  async #killLearner(): Promise<void> {
    await this.#harness.end('learner', 2);
    await this.#grows(50);
    await this.#harness.back('learner', 2);
  }

  /** A proposer that stands still for longer than the others wait, and notices afterwards. */
  async #standStill(): Promise<void> {
    const { cluster } = this.#harness;
    const leader = await this.#harness.leads(LOG);
    cluster.kill('proposer', leader, 'SIGSTOP');
    await eventually('another one leads', async () => (await this.#harness.leader(LOG)) === 3 - leader);
    cluster.kill('proposer', leader, 'SIGCONT');
  }

  async #ctl(...args: string[]): Promise<void> {
    await this.#ctlMay(0)(...args);
  }

  /** `synodctl`, which must end with one of these codes. */
  #ctlMay(...codes: number[]): (...args: string[]) => Promise<void> {
    return async (...args) => {
      const { code, err } = await synodctl(this.#harness.cluster.portBase, args);
      if (code === null || !codes.includes(code))
        throw new Error(`synodctl ${args.join(' ')} ended with ${String(code)}: ${err}`);
    };
  }
}
