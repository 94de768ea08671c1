export default {
  testEnvironment: 'node',
  // Both cores of the smallest machine: many tests wait for disks and processes of their own.
  maxWorkers: 2,
  // Time never decides a test; this only ends one that hangs.
  testTimeout: 60_000,
  roots: ['<rootDir>/test'],
  testMatch: ['**/*.test.ts'],
  extensionsToTreatAsEsm: ['.ts'],
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      { jsc: { target: 'es2022', parser: { syntax: 'typescript' } }, module: { type: 'es6' } },
    ],
  },
};
