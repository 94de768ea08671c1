/**
 * The window for operators that every process has, on its own port (its gRPC port + 1000):
 *
 *   GET /metrics       Prometheus text
 *   GET /livez         200 while the event loop turns; a restart would help when it does not
 *   GET /readyz        200 when the process can do its own job, else 503 and which checks fail; ?verbose names all
 *   GET /status.json   what it is doing, for people and `synodctl status`
 *
 * It changes nothing, reads no request body, and is bounded: few connections, short timeouts, slow checks cut off.
 */
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { SynodError, messageOf } from '../../base/errors.ts';
import type { Log } from '../../ports/telemetry.ts';
import { parseHostPort } from '../config/values.ts';
import type { EventLoop } from '../telemetry/event-loop.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { VERSION } from '../version.ts';

/** True when the process can do this part of its job, else why not. */
export type Check = () => true | string | Promise<true | string>;

export interface AdminOptions {
  /** `127.0.0.1:8101`; port 0 takes a free one. */
  readonly address: string;
  readonly metrics: Metrics;
  /** The checks of `/readyz` by name, which also run in this order. */
  readonly checks: Readonly<Record<string, Check>>;
  /** What `/status.json` says; must be plain data. */
  readonly status: () => unknown;
  readonly eventLoop: EventLoop;
  readonly log: Log;
  /** Milliseconds that one check may take before it counts as failed. Default 1,000. */
  readonly checkMsMax?: number;
}

export interface AdminServer {
  readonly address: string;
  readonly port: number;
  /** From now on `/readyz` says that the process is stopping. */
  setStopping(): void;
  close(): Promise<void>;
}

/** An event loop that is this late is not alive. */
const LAG_MS_MAX = 10_000;

interface Page {
  readonly code: number;
  readonly type: string;
  readonly body: string;
}

/** Serves the pages. Throws UNAVAILABLE when the address is in use, FAILED_PRECONDITION when it can never be bound. */
export async function serveAdmin(options: AdminOptions): Promise<AdminServer> {
  let stopping = false;
  const { metrics } = options;
  const isReady = async (): Promise<number> => Number(!stopping && (await ready(options, false)).code === 200);
  exposeProcess(metrics, isReady);
  const pages: Readonly<Record<string, (verbose: boolean) => Promise<Page> | Page>> = {
    '/metrics': async () => ({ code: 200, type: metrics.contentType, body: await metrics.scrape() }),
    '/livez': () => live(options.eventLoop),
    '/readyz': (verbose) => (stopping ? text(503, 'stopping\n') : ready(options, verbose)),
    '/status.json': () => ({
      code: 200,
      type: 'application/json',
      body: `${JSON.stringify(options.status(), null, 2)}\n`,
    }),
  };
  const server = createServer(
    { headersTimeout: 5_000, requestTimeout: 5_000, keepAliveTimeout: 5_000 },
    (request, response) => {
      answer(request, response, pages).catch((error: unknown) => {
        options.log.error({ url: request.url, error: messageOf(error) }, 'an admin page failed');
        send(response, request, text(500, 'an unexpected error; the log says more\n'));
      });
    },
  );
  server.maxConnections = 64;
  const port = await listen(server, options.address);
  return {
    port,
    address: `${options.address.slice(0, options.address.lastIndexOf(':'))}:${String(port)}`,
    setStopping() {
      stopping = true;
    },
    close() {
      return new Promise((resolve) => {
        server.close(() => {
          resolve();
        });
        server.closeAllConnections();
      });
    },
  };
}

/** What is true of every process: which version it is, and whether it is ready. */
export function exposeProcess(metrics: Metrics, isReady: () => number | Promise<number>): void {
  const prefix = `synod_${metrics.role}`;
  metrics
    .gauge(`${prefix}_build_info`, 'Always 1; the version is a label', { version: [VERSION] })
    .set({ version: VERSION }, 1);
  metrics.gaugeOf(`${prefix}_ready`, '1 while /readyz answers 200', isReady);
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  pages: Readonly<Record<string, (verbose: boolean) => Promise<Page> | Page>>,
): Promise<void> {
  const [path = '', query = ''] = (request.url ?? '').split('?', 2);
  const page = Object.hasOwn(pages, path) ? pages[path] : undefined;
  if (page === undefined)
    send(response, request, text(404, `no such page; there are ${Object.keys(pages).join(', ')}\n`));
  else if (request.method !== 'GET' && request.method !== 'HEAD')
    send(response, request, text(405, 'only GET and HEAD\n'));
  else send(response, request, await page(new URLSearchParams(query).has('verbose')));
}

function send(response: ServerResponse, request: IncomingMessage, page: Page): void {
  if (response.headersSent) return;
  response.writeHead(page.code, {
    'content-type': page.type,
    'content-length': Buffer.byteLength(page.body),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
  });
  response.end(request.method === 'HEAD' ? undefined : page.body);
}

function live(eventLoop: EventLoop): Page {
  const lag = eventLoop.lagMs;
  return lag > LAG_MS_MAX ? text(503, `the event loop is ${lag.toFixed(0)} ms late\n`) : text(200, 'ok\n');
}

async function ready(options: AdminOptions, verbose: boolean): Promise<Page> {
  const results = await Promise.all(
    Object.entries(options.checks).map(async ([name, check]) => ({
      name,
      result: await within(check, options.checkMsMax ?? 1_000),
    })),
  );
  const failed = results.filter(({ result }) => result !== true);
  const shown = verbose ? results : failed;
  const lines = shown.map(({ name, result }) => (result === true ? `[+] ${name}` : `[-] ${name}: ${result}`));
  return text(failed.length === 0 ? 200 : 503, `${[...lines, failed.length === 0 ? 'ok' : 'not ready'].join('\n')}\n`);
}

/** Runs a check; one that throws or takes too long has failed. */
async function within(check: Check, ms: number): Promise<true | string> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(resolve, ms, `no answer within ${String(ms)} ms`);
  });
  try {
    return await Promise.race([check(), late]);
  } catch (error) {
    return messageOf(error);
  } finally {
    clearTimeout(timer);
  }
}

function text(code: number, body: string): Page {
  return { code, type: 'text/plain; charset=utf-8', body };
}

function listen(server: Server, address: string): Promise<number> {
  const at = parseHostPort(address);
  if (at === undefined) throw new SynodError('INVALID_ARGUMENT', `--http ${address} is not HOST:PORT`);
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const inUse = error.code === 'EADDRINUSE';
      const why = inUse ? 'is in use by another process' : `cannot be bound (${error.message})`;
      const code = inUse ? 'UNAVAILABLE' : 'FAILED_PRECONDITION';
      reject(new SynodError(code, `${address} ${why}; choose another with --http`, 'none', error));
    });
    server.listen(at.port, at.host.replace(/^\[|\]$/g, ''), () => {
      resolve((server.address() as AddressInfo).port);
    });
  });
}
