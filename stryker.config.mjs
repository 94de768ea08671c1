/** Mutation testing of the heart and the journal, on demand: `npm run mutation -- --help`. Never part of `npm test` or CI. */
export default {
  mutate: ['shared/paxos/*.ts', 'shared/journal/*.ts'],
  plugins: ['./test/mutation/runner.mjs'],
  testRunner: 'unit',
  unit: {
    folders: ['test/unit/paxos', 'test/unit/journal'],
    last: [
      'test/unit/paxos/histories-acceptor.test.ts',
      'test/unit/journal/scan.test.ts',
      'test/unit/journal/damage.test.ts',
      'test/unit/journal/crash.test.ts',
    ],
    without: ['test/unit/journal/folder.test.ts'],
  },
  coverageAnalysis: 'perTest',
  // What acts only while files are imported would need a new process and every test for each mutant.
  ignoreStatic: true,
  concurrency: 1,
  timeoutMS: 2_000,
  packageManager: 'npm',
  reporters: ['progress-append-only', 'json', 'html'],
  jsonReporter: { fileName: 'results/mutation/report.json' },
  htmlReporter: { fileName: 'results/mutation/report.html' },
  tempDirName: 'results/mutation/tmp',
  cleanTempDir: 'always',
  ignorePatterns: ['dist', 'results', 'data', 'docs', 'proto'],
};
