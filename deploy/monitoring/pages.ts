/** Tables of docs/monitoring.md: metrics by the help texts of the registries, alerts by the rules. */
import { parse } from 'yaml';
import { ROLES, catalogue } from './catalogue.ts';

export const RULE_FILES = [
  'deploy/monitoring/prometheus/rules/recording.yaml',
  'deploy/monitoring/prometheus/rules/alerts.yaml',
] as const;

export interface Rule {
  readonly alert?: string;
  readonly record?: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

export interface RuleGroup {
  readonly name: string;
  readonly rules: readonly Rule[];
}

/** The groups of all rule files. `read` gives the text of a file of the repository. */
export function readRules(read: (path: string) => string): RuleGroup[] {
  return RULE_FILES.flatMap((path) => (parse(read(path)) as { groups: RuleGroup[] }).groups);
}

/** A table for each role. */
export async function metricTable(): Promise<string> {
  const metrics = await catalogue();
  return ROLES.map((role) => {
    const rows = metrics
      .filter((each) => each.role === role)
      .map(({ name, type, help, labels }) => [
        `\`${name}${labels.length === 0 ? '' : `{${labels.join(',')}}`}\``,
        type,
        help,
      ]);
    return `### ${role.charAt(0).toUpperCase()}${role.slice(1)}\n\n${table(['metric', 'type', 'what it is'], rows)}`;
  }).join('\n');
}

/** A row for each alert. */
export function alertTable(read: (path: string) => string): string {
  const rows = readRules(read)
    .flatMap(({ rules }) => rules)
    .flatMap(({ alert, labels, annotations, for: wait }) => {
      if (alert === undefined) return [];
      const page = (annotations?.['runbook'] ?? '').replace(/^docs\//, '');
      const summary = (annotations?.['summary'] ?? '').replaceAll(
        /\{\{\s*\$labels\.(\w+)\s*\}\}/g,
        (_, label: string) => (label === 'cluster' ? 'C' : label === 'role' ? 'Role' : 'N'),
      );
      return [[`[${alert}](${page})`, labels?.['severity'] ?? '', wait ?? 'at once', summary]];
    });
  return table(['alert', 'severity', 'after', 'what it says'], rows);
}

/** A table as prettier writes it: a column is as wide as its widest cell. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = [head, ...rows].map((row) => row.map((cell) => cell.replaceAll('|', '\\|')));
  const widths = head.map((_, column) => Math.max(3, ...cells.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]): string =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |\n`;
  const [first = [], ...others] = cells;
  return line(first) + line(widths.map((width) => '-'.repeat(width))) + others.map(line).join('');
}
