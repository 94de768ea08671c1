// Goal: whole exchanges, as they can be read. Method: every file of testdata is a script, `----`, and all that is said when the
// shipped machines run it. With UPDATE=1 the second half is written anew: look at the difference before keeping it.
//
//   acceptors N, as the first line · propose p1 LOG VALUE [retry] · fast p1 LOG VALUE · decree p1 LOG VALUE · fast-decree p1 LOG VALUE ·
//   run MS · kill p1 · start p1 LETTER · cut A B · lose FROM TO KIND · hold FROM TO · heal · drain p1 · move p1 LOG TO ·
//   chart: what happened since the last one, as synodctl draws it · # a comment, which is printed too
import { describe, expect, test } from '@jest/globals';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { TraceWorld } from './world.ts';

const FOLDER = join(import.meta.dirname, 'testdata');
const UPDATE = process.env['UPDATE'] === '1';

function perform(world: TraceWorld, command: string): void {
  const [verb, a = '', b = '', c = '', d = ''] = command.split(' ');
  const node = a as 'p1';
  switch (verb) {
    case '#':
    case 'acceptors':
    case 'chart':
      return;
    case 'propose':
      return world.propose(node, b, c, { protocol: 'multi', retry: d === 'retry' });
    case 'fast':
      return world.propose(node, b, c, { protocol: 'fast' });
    case 'decree':
      return world.propose(node, b, c, { protocol: 'basic' });
    case 'fast-decree':
      return world.propose(node, b, c, { protocol: 'fast', decree: true });
    case 'run':
      return world.run(Number(a));
    case 'kill':
      return world.kill(node);
    case 'start':
      return world.start(node, b);
    case 'cut':
      return world.cut(a, b);
    case 'lose':
      return world.lose(a, b, c);
    case 'hold':
      return world.hold(a, b);
    case 'heal':
      return world.heal();
    case 'drain':
      return world.event(node, { kind: 'drain' });
    case 'move':
      return world.event(node, { kind: 'move', token: 1_000, log: b, to: Number(c) });
    default:
      throw new Error(`unknown command: ${command}`);
  }
}

function runScript(script: string): string {
  const [, acceptors = '3'] = /^acceptors (\d)$/m.exec(script) ?? [];
  const world = new TraceWorld(Number(acceptors));
  const out: string[] = [];
  for (const command of script.trim().split('\n')) {
    perform(world, command);
    const lines = command === 'chart' ? world.chart() : world.lines.splice(0);
    out.push(command, ...lines.map((line) => `  ${line}`));
  }
  return `${out.join('\n')}\n`;
}

describe('traces', () => {
  const files = readdirSync(FOLDER).filter((name) => name.endsWith('.txt'));

  test.each(files)('%s', (name) => {
    const path = join(FOLDER, name);
    const [script = '', expected = ''] = readFileSync(path, 'utf8').split('----\n');
    const trace = runScript(script);
    if (UPDATE) writeFileSync(path, `${script}----\n${trace}`);
    else expect(trace).toBe(expected);
    // Whatever else was said, something was chosen.
    expect(trace).toContain('l1 !   chosen');
  });

  test('there are some', () => {
    expect(files.length).toBeGreaterThanOrEqual(6);
  });
});
