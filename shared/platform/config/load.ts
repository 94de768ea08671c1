/**
 * Configuration from flags, environment and a YAML file, in this order of precedence, then defaults. A schema is one flat zod
 * object whose keys are the settings as documents name them (`trim.holders`): the flag is `--trim-holders`, the variable
 * `SYNOD_TRIM_HOLDERS`, and the file may nest them. Every fault is named at once.
 */
import { readFileSync } from 'node:fs';
import { parse as parseYaml } from 'yaml';
import type { z } from 'zod';
import { SynodError, messageOf } from '../../base/errors.ts';
import { nearest } from './nearest.ts';
import type { Meta } from './values.ts';

export interface LoadOptions {
  /** The program's name in help and errors: `synod-acceptor`. */
  readonly name: string;
  /** One sentence for `--help`. */
  readonly summary: string;
  /** Arguments without the interpreter and script. */
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Reads a file named by `--config`. Default: from the disk. */
  readonly readFile?: (path: string) => string;
}

export type Loaded<T> =
  | { readonly kind: 'help'; readonly text: string }
  | {
      readonly kind: 'config';
      readonly config: T;
      /** Every setting with its value as text and where it came from, secrets hidden: fit for logs. */
      readonly shown: Readonly<Record<string, string>>;
      /** Things that are probably mistakes but stop nothing: environment variables close to a setting's. */
      readonly warnings: readonly string[];
    };

/** Thrown with every fault of a configuration; `faults` has one sentence each. */
export class ConfigError extends SynodError {
  readonly faults: readonly string[];
  constructor(name: string, faults: readonly string[]) {
    super('INVALID_ARGUMENT', `${name}: ${faults.join('\n  ')}\nSee ${name} --help for every setting.`);
    this.faults = faults;
  }
}

interface Given {
  readonly text: string;
  /** `--trim-holders`, `SYNOD_TRIM_HOLDERS` or `file.yaml: trim.holders` */
  readonly from: string;
}

/** Loads a configuration. Throws ConfigError. */
export function loadConfig<S extends z.ZodObject>(schema: S, options: LoadOptions): Loaded<z.output<S>> {
  const keys = Object.keys(schema.shape);
  const faults: string[] = [];
  const flags = readFlags(options.argv, keys, schema, faults);
  if (flags === 'help') return { kind: 'help', text: helpText(schema, options) };

  const fileName = flags.get(CONFIG)?.text ?? options.env['SYNOD_CONFIG'];
  const file = fileName === undefined ? new Map<string, Given>() : readYaml(fileName, keys, options, faults);
  const given = new Map<string, Given>();
  for (const key of keys) {
    const env = options.env[envOf(key)];
    const found = flags.get(key) ?? (env === undefined ? undefined : { text: env, from: envOf(key) }) ?? file.get(key);
    if (found !== undefined) given.set(key, found);
  }
  const result = schema.safeParse(Object.fromEntries([...given].map(([key, { text }]) => [key, text])));
  if (!result.success) faults.push(...result.error.issues.map((issue) => faultOf(issue, given, schema)));
  if (faults.length > 0 || !result.success) throw new ConfigError(options.name, faults);
  return {
    kind: 'config',
    config: result.data,
    shown: showSettings(keys, given, schema),
    warnings: strayVariables(options.env, keys),
  };
}

/** `trim.holders` → `--trim-holders` */
export function flagOf(key: string): string {
  return `--${key.replaceAll('.', '-')}`;
}

/** `trim.holders` → `SYNOD_TRIM_HOLDERS` */
export function envOf(key: string): string {
  return `SYNOD_${key.replaceAll(/[.-]/g, '_').toUpperCase()}`;
}

const CONFIG = 'config';

function readFlags(
  argv: readonly string[],
  keys: readonly string[],
  schema: z.ZodObject,
  faults: string[],
): Map<string, Given> | 'help' {
  const known = new Map(keys.map((key) => [flagOf(key), key]));
  known.set(flagOf(CONFIG), CONFIG);
  const given = new Map<string, Given>();
  for (let i = 0; i < argv.length; i++) {
    const argument = argv[i] as string;
    if (argument === '--help' || argument === '-h') return 'help';
    if (argument === '--') continue;
    const equals = argument.indexOf('=');
    const flag = equals < 0 ? argument : argument.slice(0, equals);
    const key = known.get(flag);
    if (key === undefined) {
      faults.push(
        argument.startsWith('-')
          ? `${flag} is not a setting${suggest(flag, [...known.keys()])}`
          : `${JSON.stringify(argument)} is not expected: settings are written as --name value`,
      );
      // The value of an unknown flag is not reported as a second fault.
      if (argument.startsWith('-') && equals < 0 && argv[i + 1]?.startsWith('-') === false) i++;
      continue;
    }
    if (given.has(key)) faults.push(`${flag} is given twice`);
    const next = argv[i + 1];
    if (equals >= 0) given.set(key, { text: argument.slice(equals + 1), from: flag });
    else if (metaOf(schema, key)?.form === 'true|false' && next !== 'true' && next !== 'false')
      given.set(key, { text: 'true', from: flag });
    else if (next === undefined || next.startsWith('--')) faults.push(`${flag} needs a value`);
    else {
      given.set(key, { text: next, from: flag });
      i++;
    }
  }
  return given;
}

function readYaml(name: string, keys: readonly string[], options: LoadOptions, faults: string[]): Map<string, Given> {
  const out = new Map<string, Given>();
  let root: unknown;
  try {
    root = parseYaml((options.readFile ?? ((path: string) => readFileSync(path, 'utf8')))(name));
  } catch (error) {
    faults.push(`the file of --config, ${name}, cannot be read: ${messageOf(error)}`);
    return out;
  }
  if (root === null || root === undefined) return out;
  if (!isMap(root)) {
    faults.push(`the file of --config, ${name}, must hold settings as name: value`);
    return out;
  }
  const visit = (path: string, value: unknown): void => {
    if (keys.includes(path)) out.set(path, { text: yamlText(value), from: `${name}: ${path}` });
    else if (isMap(value) && keys.some((key) => key.startsWith(`${path}.`)))
      for (const [name, inner] of Object.entries(value)) visit(`${path}.${name}`, inner);
    else faults.push(`${name}: ${path} is not a setting${suggest(path, keys)}`);
  };
  for (const [key, value] of Object.entries(root)) visit(key, value);
  return out;
}

/** A value of the file as a flag would have it: lists with commas, maps as `key=value`. */
function yamlText(value: unknown): string {
  if (value === null || value === undefined) return '';
  if (Array.isArray(value)) return value.map(yamlText).join(',');
  if (isMap(value))
    return Object.entries(value)
      .map(([key, inner]) => `${key}=${yamlText(inner)}`)
      .join(',');
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function faultOf(issue: z.core.$ZodIssue, given: ReadonlyMap<string, Given>, schema: z.ZodObject): string {
  const key = String(issue.path[0] ?? '');
  // A fault of several settings together names them itself.
  if (key === '') return issue.message;
  const meta = metaOf(schema, key);
  const value = given.get(key);
  if (value === undefined) {
    if (issue.code === 'custom') return `${flagOf(key)} ${issue.message}`;
    return `${flagOf(key)} is missing (${meta?.describe ?? key}; also ${envOf(key)}, or ${key} in the file of --config)`;
  }
  const shown = meta?.secret === true ? '(hidden)' : JSON.stringify(value.text);
  return `${value.from} ${issue.message}, not ${shown}`;
}

function showSettings(
  keys: readonly string[],
  given: ReadonlyMap<string, Given>,
  schema: z.ZodObject,
): Record<string, string> {
  const out: Record<string, string> = {};
  for (const key of keys) {
    const meta = metaOf(schema, key);
    const value = given.get(key);
    const text = value?.text ?? meta?.default;
    if (text === undefined) continue;
    out[key] = `${meta?.secret === true ? '(hidden)' : text} (${value?.from ?? 'default'})`;
  }
  return out;
}

/**
 * Variables that look like a slip of a setting's. They are no fault, because others set variables too: Kubernetes, for one,
 * gives every pod SYNOD_ACCEPTOR_PORT and the like once a service is called synod-acceptor.
 */
function strayVariables(env: LoadOptions['env'], keys: readonly string[]): string[] {
  const known = [...keys.map(envOf), 'SYNOD_CONFIG'];
  return Object.keys(env)
    .filter((name) => name.startsWith('SYNOD_') && !known.includes(name))
    .flatMap((name) => {
      const meant = nearest(name, known);
      return meant === undefined ? [] : [`the variable ${name} is not used; did you mean ${meant}?`];
    });
}

function suggest(word: string, known: readonly string[]): string {
  const meant = nearest(word, known);
  return meant === undefined ? '' : `; did you mean ${meant}?`;
}

function metaOf(schema: z.ZodObject, key: string): Meta | undefined {
  return (schema.shape[key] as z.ZodType | undefined)?.meta() as Meta | undefined;
}

/** The text of `--help`: every setting with its flag, variable, default and purpose. */
export function helpText(schema: z.ZodObject, options: Pick<LoadOptions, 'name' | 'summary'>): string {
  const rows = Object.keys(schema.shape).map((key) => {
    const meta = metaOf(schema, key);
    const needed = (schema.shape[key] as z.ZodType).safeParse(undefined).success ? '' : ' (required)';
    const preset = meta?.default === undefined ? needed : ` (default ${meta.default})`;
    const flag = meta?.form === 'true|false' ? flagOf(key) : `${flagOf(key)} ${meta?.form ?? 'TEXT'}`;
    return `  ${flag}\n        ${meta?.describe ?? ''}${preset}; ${envOf(key)}`;
  });
  rows.push(`  --config FILE\n        A YAML file with settings by name (trim.holders: 2, or nested); SYNOD_CONFIG`);
  rows.push('  --help\n        This text');
  return `${options.name}: ${options.summary}\n\nFlags win over environment variables, these over the file, that over defaults.\n\n${rows.join('\n')}\n`;
}
