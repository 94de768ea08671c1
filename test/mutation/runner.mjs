/**
 * Runs the unit tests for Stryker in one warm process. Every test file is imported once, by Node itself, and all mutants are in what
 * it imports; a mutant is switched on by its id, and only the tests that reach it run, until one of them fails. That takes
 * milliseconds, where a new run of jest for each mutant takes seconds. The engine and `expect` are those of jest.
 */
import { readdirSync } from 'node:fs';
import { register } from 'node:module';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { PluginKind, commonTokens, declareClassPlugin, tokens } from '@stryker-mutator/api/plugin';
import {
  DryRunStatus,
  TestStatus,
  determineHitLimitReached,
  toMutantRunResult,
} from '@stryker-mutator/api/test-runner';
import { addEventHandler, getState, resetState, run, setState } from 'jest-circus';

/** Beyond this a test that waits for ever is ended by Stryker anyway. In ms. */
const TEST_TIMEOUT = 60_000;

export const strykerValidationSchema = {
  properties: {
    unit: {
      type: 'object',
      properties: {
        folders: { description: 'Folders of tests.', type: 'array', items: { type: 'string' } },
        last: {
          description: 'Test files that are slow, and run after all others.',
          type: 'array',
          items: { type: 'string' },
        },
        without: { description: 'Test files that are left out.', type: 'array', items: { type: 'string' } },
      },
    },
  },
};

/** What a mutant and the count of who reaches it read: Stryker's own object, in the one global scope that there is. */
const stryker = (globalThis.__stryker__ ??= {});

/** The tests of a file, as jest's engine keeps them. */
class Suite {
  constructor(file, state) {
    this.file = file;
    this.state = state;
    /** What a `beforeAll` of this file reaches is reached for each of its tests. */
    this.shared = `${file} beforeAll`;
    this.tests = testsOf(state.rootDescribeBlock);
    for (const test of this.tests) test.id = `${file} ${nameOf(test)}`;
    this.names = new Set(this.tests.map(nameOf));
    if (this.names.size !== this.tests.length) throw new Error(`${file}: two tests have one name`);
  }
}

export class UnitRunner {
  static inject = tokens(commonTokens.options);
  #options;
  #suites;
  /** Names of tests of the suite that runs; the others are skipped. Emptied when one fails and the rest need not run. */
  #wanted = new Set();
  #bail = false;
  #results = [];
  /** Errors that nobody caught. They fail the test in which they come up, as in jest. */
  #stray = [];
  #suite;

  constructor(options) {
    this.#options = options.unit;
  }

  capabilities() {
    return { reloadEnvironment: false };
  }

  async init() {
    register('./hooks.mjs', import.meta.url);
    process.on('unhandledRejection', (error) => this.#stray.push(error));
    process.on('uncaughtException', (error) => this.#stray.push(error));
    addEventHandler((event) => this.#on(event));
  }

  async dryRun() {
    await this.#load();
    const tests = await this.#run(undefined, false);
    const { mutantCoverage } = stryker;
    for (const { shared, tests: own } of this.#suites) {
      const reached = mutantCoverage?.perTest[shared];
      if (reached === undefined) continue;
      delete mutantCoverage.perTest[shared];
      for (const { id } of own) add((mutantCoverage.perTest[id] ??= {}), reached);
    }
    return { status: DryRunStatus.Complete, tests, mutantCoverage };
  }

  /** `static` mutants act while files are imported: Stryker starts a new process for each of them, and this imports late. */
  async mutantRun({ activeMutant, testFilter, hitLimit, mutantActivation, disableBail }) {
    if (mutantActivation === 'runtime') await this.#load();
    stryker.hitCount = hitLimit === undefined ? undefined : 0;
    stryker.hitLimit = hitLimit;
    stryker.activeMutant = activeMutant.id;
    try {
      await this.#load();
      const tests = await this.#run(testFilter && new Set(testFilter), !disableBail);
      const timeout = determineHitLimitReached(stryker.hitCount, stryker.hitLimit);
      return toMutantRunResult(timeout ?? { status: DryRunStatus.Complete, tests }, disableBail);
    } catch (error) {
      return toMutantRunResult({ status: DryRunStatus.Error, errorMessage: String(error?.stack ?? error) });
    } finally {
      stryker.activeMutant = undefined;
      stryker.hitCount = undefined;
    }
  }

  async #load() {
    if (this.#suites !== undefined) return;
    const { folders, last, without } = this.#options;
    const files = folders
      .flatMap((folder) => readdirSync(folder).map((name) => join(folder, name)))
      .filter((file) => file.endsWith('.test.ts') && !without.includes(file))
      .sort((a, b) => last.indexOf(a) - last.indexOf(b) || (a < b ? -1 : 1));
    const suites = [];
    for (const file of files) {
      resetState();
      await import(pathToFileURL(resolve(file)).href);
      suites.push(new Suite(file, getState()));
    }
    this.#suites = suites;
  }

  /** Runs the tests with these ids, or all. */
  async #run(ids, bail) {
    this.#results = [];
    this.#bail = bail;
    for (const suite of this.#suites) {
      const chosen = suite.tests.filter(({ id }) => ids === undefined || ids.has(id));
      if (chosen.length === 0) continue;
      this.#wanted = new Set(chosen.map(nameOf));
      this.#suite = suite;
      this.#stray = [];
      for (const test of suite.tests) Object.assign(test, { errors: [], status: null });
      Object.assign(suite.state, {
        hasStarted: false,
        unhandledErrors: [],
        testTimeout: TEST_TIMEOUT,
        testNamePattern: { test: (name) => this.#wanted.has(name) },
      });
      setState(suite.state);
      await run();
      if (bail && this.#results.some(({ status }) => status === TestStatus.Failed)) break;
    }
    // Whatever a failed test left behind ends before the next mutant is switched on.
    await new Promise((done) => setImmediate(done));
    return this.#results;
  }

  async #on(event) {
    switch (event.name) {
      case 'hook_start':
        if (event.hook.type === 'beforeAll') stryker.currentTestId = this.#suite.shared;
        break;
      case 'hook_success':
      case 'hook_failure':
        if (event.hook.type === 'beforeAll') stryker.currentTestId = undefined;
        break;
      case 'test_started':
        stryker.currentTestId = event.test.id;
        break;
      case 'test_done':
        // Node tells of a rejection that nobody caught once the microtasks are through.
        await new Promise((done) => setImmediate(done));
        stryker.currentTestId = undefined;
        this.#done(event.test);
        break;
      default:
    }
  }

  #done(test) {
    const errors = [
      ...test.errors.map((error) => (Array.isArray(error) ? (error[0] ?? error[1]) : error)),
      ...this.#stray,
    ];
    this.#stray = [];
    this.#results.push({
      id: test.id,
      name: test.id,
      fileName: resolve(this.#suite.file),
      timeSpentMs: test.duration ?? 0,
      ...(errors.length === 0
        ? { status: TestStatus.Success }
        : { status: TestStatus.Failed, failureMessage: errors.map((e) => String(e?.message ?? e)).join('\n') }),
    });
    if (errors.length > 0 && this.#bail) this.#wanted.clear();
  }
}

function testsOf(block) {
  return block.children.flatMap((child) => (child.type === 'test' ? [child] : testsOf(child)));
}

/** The names of the blocks around a test and its own, as jest's engine joins them. */
function nameOf(test) {
  const names = [];
  for (let at = test; at.parent !== undefined && at.name !== 'ROOT_DESCRIBE_BLOCK'; at = at.parent)
    names.unshift(at.name);
  return names.join(' ');
}

function add(counts, more) {
  for (const [mutant, count] of Object.entries(more)) counts[mutant] = (counts[mutant] ?? 0) + count;
}

export const strykerPlugins = [declareClassPlugin(PluginKind.TestRunner, 'unit', UnitRunner)];
