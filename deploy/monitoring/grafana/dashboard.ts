/** What all dashboards have in common: their variables, the links between them, and how panels are laid out. */
import type { Builder } from '@grafana/grafana-foundation-sdk/cog';
import {
  AnnotationQueryBuilder,
  DashboardBuilder,
  DashboardCursorSync,
  DashboardLinkBuilder,
  DashboardLinkType,
  DatasourceVariableBuilder,
  QueryVariableBuilder,
  RowBuilder,
  VariableRefresh,
  VariableSort,
} from '@grafana/grafana-foundation-sdk/dashboard';
import type { Dashboard, Panel } from '@grafana/grafana-foundation-sdk/dashboard';
import { DataqueryBuilder } from '@grafana/grafana-foundation-sdk/prometheus';
import { DATASOURCE } from './panels.ts';

/** Matches what the variable `cluster` chose. All of them by default, those without such a label included. */
export const CLUSTER = 'cluster=~"$cluster"';
/** Matches the members that the variable `instance` chose. */
export const MEMBER = `${CLUSTER},instance=~"$instance"`;

export interface Row {
  readonly title: string;
  readonly panels: readonly Builder<Panel>[];
}

export interface Page {
  /** Its address and file: `synod-UID`. */
  readonly uid: string;
  readonly title: string;
  readonly description: string;
  /** A metric of the members that the variable `instance` lists; without one there is no such variable. */
  readonly members?: string;
  /** Whether the variable `role` is there. */
  readonly roles?: boolean;
  readonly rows: readonly Row[];
}

/** A variable with values of a label, all of them by default. */
function labelVariable(name: string, metric: string, help: string): QueryVariableBuilder {
  return new QueryVariableBuilder(name)
    .label(name)
    .description(help)
    .datasource(DATASOURCE)
    .query(`label_values(${metric}, ${name})`)
    .refresh(VariableRefresh.OnTimeRangeChanged)
    .sort(VariableSort.NaturalAsc)
    .multi(true)
    .includeAll(true)
    .allValue('.*')
    .current({ selected: true, text: ['All'], value: ['$__all'] });
}

/** Who began to lead is marked in every graph. */
function leaderChanges(): AnnotationQueryBuilder {
  return new AnnotationQueryBuilder()
    .name('leader changes')
    .datasource(DATASOURCE)
    .enable(true)
    .iconColor('purple')
    .target(
      new DataqueryBuilder()
        .refId('leaders')
        .expr(
          `sum by (cluster, id) (increase(synod_proposer_leader_changes_total{${CLUSTER},change="taken"}[$__rate_interval])) > 0`,
        ),
    )
    .titleFormat('proposer {{id}} leads');
}

/** Makes the JSON of a dashboard. */
export function dashboard(page: Page): Dashboard {
  const made = new DashboardBuilder(page.title)
    .uid(`synod-${page.uid}`)
    .description(page.description)
    .tags(['synod'])
    .readonly()
    .timezone('browser')
    .refresh('10s')
    .time({ from: 'now-30m', to: 'now' })
    .tooltip(DashboardCursorSync.Crosshair)
    .link(
      new DashboardLinkBuilder('Synod')
        .type(DashboardLinkType.Dashboards)
        .tags(['synod'])
        .asDropdown(false)
        .includeVars(true)
        .keepTime(true),
    )
    .annotation(leaderChanges())
    .withVariable(
      new DatasourceVariableBuilder('datasource').label('data source').type('prometheus').current({
        selected: true,
        text: 'Synod Prometheus',
        value: 'synod-prometheus',
      }),
    )
    .withVariable(labelVariable('cluster', 'synod_proposer_ready', 'The clusters that this Prometheus scrapes'));
  if (page.roles === true)
    made.withVariable(
      labelVariable(
        'role',
        `{__name__=~"synod_(acceptor|proposer|learner)_ready",${CLUSTER}}`,
        'Acceptors, proposers or learners',
      ),
    );
  if (page.members !== undefined)
    made.withVariable(labelVariable('instance', `${page.members}{${CLUSTER}}`, 'The address that is scraped'));
  for (const { title, panels } of page.rows) {
    made.withRow(new RowBuilder(title));
    for (const panel of panels) made.withPanel(panel);
  }
  return finished(made.build());
}

/** Numbers panels, so that a link to one keeps working, and shows links and marks on the page: the builders would hide them in a menu. */
function finished(built: Dashboard): Dashboard {
  const { panels = [], links = [], annotations, templating } = built;
  for (const each of [...links, ...(annotations.list ?? [])]) delete each.placement;
  // What only a variable of intervals has.
  for (const each of templating.list ?? []) {
    delete each.auto;
    delete each.auto_min;
    delete each.auto_count;
  }
  return { ...built, panels: panels.map((panel, at) => ({ ...panel, id: at + 1 })) };
}
