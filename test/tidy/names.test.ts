/** One word for one idea, and nothing in the repository that belongs to one machine. */
import { describe, expect, test } from '@jest/globals';
import { ROOT, filesOf, textOf } from './source.ts';

/** Words of other protocols for a ballot or a slot. Docs may use them to compare; code, messages and comments may not. */
const OTHER_WORDS: readonly { readonly pattern: RegExp; readonly say: string }[] = [
  { pattern: /\bepochs?\b|[a-z]Epoch/i, say: 'ballot' },
  { pattern: /\b(current|new|old|higher|lower|same|paxos|log|raft|leader|vote)[_ ]?terms?\b/i, say: 'ballot' },
  { pattern: /\bterms?\s*[:=<>]|[a-z]Term\b|\bterm[A-Z]/, say: 'ballot' },
  { pattern: /\b(log|commit|applied|slot|last|match|next)[_]?(Index|Indices)\b/, say: 'slot' },
  { pattern: /\bpaxos[_ ]?instances?\b|\binstance(Id|Number|No)\b/i, say: 'slot' },
  { pattern: /\b[Nn]acks?\b|[a-z]Nack\b/, say: 'reject' },
];

/** A path of somebody's machine, at the start of a word. */
const MACHINE_PATH = /(?<![\w.:/@${}-])\/(home|root|Users|work|mnt|media)\/[\w.]/;

/** Hosts of package registries and mirrors, but for the public one of npm, which a lockfile names. */
const REGISTRY =
  /\b(?!registry\.npmjs\.org)[\w-]*(registry|artifactory|nexus|verdaccio|mirror|pypi|proxy)[\w-]*\.[\w.-]+\.(com|org|net|io|dev|internal|local|corp)\b/i;

const TEXT =
  /(\.(ts|mjs|cjs|js|json|proto|md|ya?ml|sh|toml|css|html|svg|txt|editorconfig)|(^|\/)(Dockerfile|LICENSE|run|nightly|\.npmrc|\.gitignore))$/;

function linesMatching(paths: readonly string[], pattern: RegExp, root = ROOT): string[] {
  return paths.flatMap((path) =>
    textOf(root, path)
      .split('\n')
      .flatMap((line, i) => (pattern.test(line) ? [`${path}:${i + 1}: ${line.trim()}`] : [])),
  );
}

describe('words', () => {
  const paths = filesOf(ROOT, ['shared', 'services', 'proto'], (path) => /\.(ts|proto)$/.test(path));

  test.each(OTHER_WORDS.map((word) => [word.say, word.pattern] as const))(
    'it is called %s here, not %s',
    (_, pattern) => {
      expect(linesMatching(paths, pattern)).toEqual([]);
    },
  );

  test('the check sees the words that it looks for, and not their neighbours', () => {
    const seen = (text: string): boolean => OTHER_WORDS.some(({ pattern }) => pattern.test(text));
    for (const text of [
      'const term = 3',
      'currentTerm',
      'a higher term',
      'epoch: number',
      'lastEpoch',
      'commitIndex',
      'a nack',
    ])
      expect([text, seen(text)]).toEqual([text, true]);
    for (const text of [
      'SIGTERM',
      'in terms of slots',
      'terminate',
      'index of a segment',
      'an instance of Batch',
      'snack',
    ])
      expect([text, seen(text)]).toEqual([text, false]);
  });
});

describe('the repository speaks of Synod alone', () => {
  const here = 'test/tidy/names.test.ts';
  const paths = filesOf(ROOT, ['.'], (path) => TEXT.test(path) && path !== here);

  test('no file names a path of one machine', () => {
    expect(paths.length).toBeGreaterThan(30);
    expect(linesMatching(paths, MACHINE_PATH)).toEqual([]);
  });

  test('no file names a package registry or a mirror', () => {
    expect(linesMatching(paths, REGISTRY)).toEqual([]);
  });

  test('the checks see what they look for', () => {
    expect(MACHINE_PATH.test('cd /home/ann/synod')).toBe(true);
    expect(MACHINE_PATH.test('see docs/work/now.md or https://example.org/home/x')).toBe(false);
    expect(REGISTRY.test('https://npm-registry.example.com/denque')).toBe(true);
    expect(REGISTRY.test('https://registry.npmjs.org/denque')).toBe(false);
  });
});
