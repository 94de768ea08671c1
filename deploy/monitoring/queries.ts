/** All that dashboards and rules ask of Prometheus, as single queries: for the tests that look whether each is sound. */
import type { Dashboard, Panel } from '@grafana/grafana-foundation-sdk/dashboard';
import type { RuleGroup } from './pages.ts';

export interface Asked {
  /** Who asks: `cluster / Proposals by outcome`, `alert SynodNoLeader`. */
  readonly by: string;
  readonly expr: string;
}

/**
 * Queries of panels and marks of a dashboard, with the variables filled in: any cluster, role and instance, and
 * `rateInterval` such as `10s`.
 */
export function dashboardQueries(name: string, dashboard: Dashboard, rateInterval: string): Asked[] {
  const { panels = [], annotations } = dashboard;
  const ofPanels = panels.flatMap((each) =>
    // A row has no targets.
    ((each as Panel).targets ?? []).map((target) => ({
      by: `${name} / ${each.title ?? ''}`,
      expr: (target as unknown as { expr: string }).expr,
    })),
  );
  const ofMarks = (annotations.list ?? []).map((each) => ({
    by: `${name} / ${each.name}`,
    expr: (each.target as unknown as { expr: string }).expr,
  }));
  return [...ofPanels, ...ofMarks].map(({ by, expr }) => ({ by, expr: filledIn(expr, rateInterval) }));
}

function filledIn(expr: string, rateInterval: string): string {
  return expr.replaceAll('$__rate_interval', rateInterval).replaceAll(/\$(cluster|role|instance)\b/g, '.*');
}

/**
 * Queries of rules. An alert normally finds nothing, which says nothing about its query; so each side of each of its comparisons is
 * a query here. Throws where an alert is not written as SIDE OP NUMBER, or several of them joined by lines with `and`.
 */
export function ruleQueries(groups: readonly RuleGroup[]): Asked[] {
  return groups
    .flatMap(({ rules }) => rules)
    .flatMap(({ alert, record, expr }) => {
      if (alert === undefined) return [{ by: `record ${record ?? ''}`, expr }];
      return expr.split(/\n(?:and|unless)(?: on \([^)]*\))?\n/).map((part) => {
        const side = /^([\s\S]+) (?:==|!=|>=|<=|>|<) [\d.]+$/.exec(part)?.[1];
        if (side === undefined) throw new Error(`alert ${alert}: ${part} is not SIDE OP NUMBER`);
        return { by: `alert ${alert}`, expr: side };
      });
    });
}

/** The names of metrics in a query; a name that is a pattern stands for all of `known` that it matches. */
export function metricsOf(expr: string, known: readonly string[]): string[] {
  const patterns = [...expr.matchAll(/__name__=~"([^"]*)"/g)].map(([, pattern = '']) => new RegExp(`^(?:${pattern})$`));
  const bare = expr.replaceAll(/"(?:[^"\\]|\\.)*"/g, '""');
  const grouped = bare.replaceAll(/\b(?:by|on|ignoring|without|group_left|group_right)\s*\([^)]*\)/g, '');
  const outside = grouped.replaceAll(/\{[^}]*\}/g, '').replaceAll(/\[[^\]]*\]/g, '');
  const names = [...outside.matchAll(/\b[a-zA-Z_:][\w:]*\b(?!\s*\()/g)].map(([name]) => name);
  const words = new Set(['and', 'or', 'unless', 'bool', 'on', 'by', 'without', 'ignoring', 'group_left', 'sum', 'max']);
  return [
    ...names.filter((name) => !words.has(name) && !/^\d/.test(name)),
    ...known.filter((name) => patterns.some((pattern) => pattern.test(name))),
  ];
}
