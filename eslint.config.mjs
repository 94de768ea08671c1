import js from '@eslint/js';
import { defineConfig, globalIgnores } from 'eslint/config';
import tseslint from 'typescript-eslint';

/** Names that Node gives to scripts. The TypeScript files need no such list: the compiler knows. */
const SCRIPT_GLOBALS = Object.fromEntries(
  [
    'process',
    'console',
    'URL',
    'Buffer',
    'setTimeout',
    'clearTimeout',
    'setInterval',
    'clearInterval',
    'setImmediate',
    'fetch',
    'AbortController',
    'AbortSignal',
    'performance',
  ].map((name) => [name, 'readonly']),
);

/** Time, chance and the process itself come in through ports and events, so that a simulator can be all three. */
const AMBIENT = [
  'Date',
  'performance',
  'setTimeout',
  'clearTimeout',
  'setInterval',
  'clearInterval',
  'setImmediate',
  'queueMicrotask',
  'process',
  'crypto',
  'fetch',
  'console',
].map((name) => ({
  name,
  message: 'Time, chance and the outside world reach this room through ports or events (ARCHITECTURE, rooms).',
}));

const RELATIVE_ONLY = 'This room imports no npm package and no Node module (ARCHITECTURE, rooms).';

export default defineConfig(
  globalIgnores(['dist', 'coverage', 'data', 'results', 'shared/wire/gen', 'node_modules']),
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  js.configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      // Numbers and booleans read the same in a template as with String(); objects do not, and stay forbidden.
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      // `return this.#refuse(…)` in a function without a result ends a case in one line, and says that nothing follows.
      '@typescript-eslint/no-confusing-void-expression': [
        'error',
        { ignoreArrowShorthand: true, ignoreVoidReturningFunctions: true },
      ],
      // A leading underscore says that a parameter stands there for its place only.
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      // `type` imports are erased, which the layers are checked by; the compiler (verbatimModuleSyntax) says where they belong.
      '@typescript-eslint/consistent-type-imports': 'error',
      // Loops that end inside are written `for (;;)` or `while (true)`.
      '@typescript-eslint/no-unnecessary-condition': ['error', { allowConstantLoopConditions: true }],
      // It would turn `as T` into `!`, which no-non-null-assertion forbids: an index that was just checked may be read with `as`.
      '@typescript-eslint/non-nullable-type-assertion-style': 'off',
      // process.env['NAME'], which the compiler asks for where keys are not known.
      '@typescript-eslint/dot-notation': 'off',
      eqeqeq: 'error',
      'no-console': 'error',
    },
  },
  {
    files: ['shared/{base,paxos,machine,ports,wire,journal,runtime}/**/*.ts'],
    rules: {
      'no-restricted-globals': ['error', ...AMBIENT],
      'no-restricted-properties': [
        'error',
        { object: 'Math', property: 'random', message: 'Chance comes in with the moment of an event.' },
      ],
    },
  },
  {
    files: ['shared/{base,paxos,machine,ports,runtime}/**/*.ts'],
    rules: { 'no-restricted-imports': ['error', { patterns: [{ regex: '^[^.]', message: RELATIVE_ONLY }] }] },
  },
  {
    files: ['shared/journal/**/*.ts'],
    rules: {
      // crc32 is the one thing that is worth taking from Node here: it runs at the speed of memory.
      'no-restricted-imports': ['error', { patterns: [{ regex: '^(?!node:zlib$)[^.]', message: RELATIVE_ONLY }] }],
    },
  },
  {
    files: ['shared/wire/**/*.ts'],
    rules: {
      'no-restricted-imports': [
        'error',
        { patterns: [{ regex: '^node:', message: 'The wire knows messages, not machines.' }] },
      ],
    },
  },
  {
    files: ['shared/{paxos,machine}/**/*.ts'],
    rules: {
      'no-restricted-syntax': [
        'error',
        {
          selector: ':function[async=true], AwaitExpression',
          message: 'The heart is synchronous: a step ends before anything else happens.',
        },
      ],
    },
  },
  {
    files: ['{deploy,test}/monitoring/**/*.ts'],
    // Dashboards of the first schema are called deprecated. They are what Grafana reads from files and ConfigMaps, of any age.
    rules: { '@typescript-eslint/no-deprecated': 'off' },
  },
  { files: ['services/cli/**/*.ts', 'test/{bench,chaos,sim}/main.ts'], rules: { 'no-console': 'off' } },
  {
    files: ['test/**/*.ts'],
    rules: {
      // A test that reads a value that must be there fails by itself when it is not.
      '@typescript-eslint/no-non-null-assertion': 'off',
      // expect(object.method) compares the function itself; calling it unbound is not the aim.
      '@typescript-eslint/unbound-method': 'off',
      // Stand-ins for a port are async because the port is, and empty because nothing is to happen.
      '@typescript-eslint/require-await': 'off',
      '@typescript-eslint/no-empty-function': 'off',
    },
  },
  { files: ['**/*.mjs'], languageOptions: { globals: SCRIPT_GLOBALS } },
);
