/** The few kinds of panels that the dashboards are made of. Each takes a sentence of help, which Grafana shows behind an (i). */
import type { Builder } from '@grafana/grafana-foundation-sdk/cog';
import {
  AxisPlacement,
  BigValueColorMode,
  BigValueGraphMode,
  GraphThresholdsStyleMode,
  LegendDisplayMode,
  LegendPlacement,
  LineInterpolation,
  SortOrder,
  StackingMode,
  TooltipDisplayMode,
  VisibilityMode,
} from '@grafana/grafana-foundation-sdk/common';
import {
  GraphThresholdsStyleConfigBuilder,
  ReduceDataOptionsBuilder,
  StackingConfigBuilder,
  VizLegendOptionsBuilder,
  VizTooltipOptionsBuilder,
} from '@grafana/grafana-foundation-sdk/common';
import { MappingType, ThresholdsConfigBuilder, ThresholdsMode } from '@grafana/grafana-foundation-sdk/dashboard';
import type { Panel, ValueMap } from '@grafana/grafana-foundation-sdk/dashboard';
import * as heatmaps from '@grafana/grafana-foundation-sdk/heatmap';
import { DataqueryBuilder, PromQueryFormat } from '@grafana/grafana-foundation-sdk/prometheus';
import * as stats from '@grafana/grafana-foundation-sdk/stat';
import * as timelines from '@grafana/grafana-foundation-sdk/statetimeline';
import * as tables from '@grafana/grafana-foundation-sdk/table';
import * as series from '@grafana/grafana-foundation-sdk/timeseries';

/** The data source that the variable of every dashboard chose. */
export const DATASOURCE = { type: 'prometheus', uid: '${datasource}' } as const;

/** Units as Grafana names them. */
export type Unit = 's' | 'ops' | 'bytes' | 'Bps' | 'short' | 'percentunit' | 'none' | 'cps' | 'dateTimeFromNow';

/** An expression, and what its lines are called: `{{label}}` stands for a label's value. */
export type Query = readonly [expr: string, legend: string];

/** From a value on, a colour. The first counts from below. */
export type Steps = readonly (readonly [from: number | null, colour: string])[];

interface Shown {
  readonly title: string;
  /** What it shows and what to watch for: one or two sentences. */
  readonly help: string;
  readonly queries: readonly Query[];
  /** Of 24 columns. Default 8. */
  readonly width?: number;
  /** In rows of Grafana's grid. Default 8; 4 for a number. */
  readonly height?: number;
}

interface Lines extends Shown {
  readonly unit: Unit;
  readonly stacked?: boolean;
  readonly steps?: Steps;
  readonly max?: number;
  /** Lines go up and down in steps. */
  readonly isState?: boolean;
}

interface Stat extends Shown {
  readonly unit: Unit;
  readonly steps: Steps;
  /** Words for values, such as 0 and 1. */
  readonly words?: Readonly<Record<string, readonly [text: string, colour: string]>>;
  readonly isName?: boolean;
}

export const GREEN = 'green';
export const RED = 'red';
export const ORANGE = 'orange';
export const BLUE = 'blue';

/** 1 is good and 0 is bad. */
export const YES_OR_NO = { 0: ['no', RED], 1: ['yes', GREEN] } as const;
export const BAD_BELOW_ONE: Steps = [
  [null, RED],
  [1, GREEN],
];
export const BAD_ABOVE_ZERO: Steps = [
  [null, GREEN],
  [0.000001, RED],
];
export const PLAIN: Steps = [[null, BLUE]];

function thresholds(steps: Steps): ThresholdsConfigBuilder {
  return new ThresholdsConfigBuilder()
    .mode(ThresholdsMode.Absolute)
    .steps(steps.map(([value, color]) => ({ value, color })));
}

function words(of: NonNullable<Stat['words']>): ValueMap[] {
  const options = Object.entries(of).map(([value, [text, color]], index) => [value, { text, color, index }] as const);
  return [{ type: MappingType.ValueToText, options: Object.fromEntries(options) }];
}

function targets(queries: readonly Query[]): DataqueryBuilder[] {
  return queries.map(([expr, legend], at) =>
    new DataqueryBuilder()
      .datasource(DATASOURCE)
      .expr(expr)
      .legendFormat(legend)
      .refId(String.fromCharCode(65 + at)),
  );
}

/** The middle and the slow end of a histogram, summed over the series that match, or apart by a label. */
export function quantiles(metric: string, matching: string, by?: string): Query[] {
  const labels = by === undefined ? 'le' : `${by}, le`;
  return (by === undefined ? [0.5, 0.95, 0.99] : [0.5, 0.99]).map((q) => [
    `histogram_quantile(${q}, sum by (${labels}) (rate(${metric}_bucket{${matching}}[$__rate_interval])))`,
    by === undefined ? `${q * 100} %` : `${q * 100} % {{${by}}}`,
  ]);
}

/** Values over time. */
export function lines(of: Lines): Builder<Panel> {
  const panel = new series.PanelBuilder()
    .title(of.title)
    .description(of.help)
    .datasource(DATASOURCE)
    .span(of.width ?? 8)
    .height(of.height ?? 8)
    .targets(targets(of.queries))
    .unit(of.unit)
    .min(0)
    .lineWidth(1)
    .fillOpacity(of.stacked === true ? 40 : 8)
    .showPoints(VisibilityMode.Never)
    .legend(
      new VizLegendOptionsBuilder()
        .displayMode(LegendDisplayMode.Table)
        .placement(LegendPlacement.Bottom)
        .showLegend(true)
        .calcs(['lastNotNull', 'max']),
    )
    .tooltip(new VizTooltipOptionsBuilder().mode(TooltipDisplayMode.Multi).sort(SortOrder.Descending));
  if (of.max !== undefined) panel.max(of.max);
  if (of.stacked === true) panel.stacking(new StackingConfigBuilder().mode(StackingMode.Normal).group('A'));
  if (of.isState === true) panel.lineInterpolation(LineInterpolation.StepAfter);
  if (of.steps !== undefined)
    panel
      .thresholds(thresholds(of.steps))
      .thresholdsStyle(new GraphThresholdsStyleConfigBuilder().mode(GraphThresholdsStyleMode.Dashed));
  return panel;
}

/** One number for each line, the newest. */
export function stat(of: Stat): Builder<Panel> {
  return new stats.PanelBuilder()
    .title(of.title)
    .description(of.help)
    .datasource(DATASOURCE)
    .span(of.width ?? 4)
    .height(of.height ?? 4)
    .targets(targets(of.queries))
    .unit(of.unit)
    .thresholds(thresholds(of.steps))
    .mappings(of.words === undefined ? [] : words(of.words))
    .colorMode(BigValueColorMode.Background)
    .graphMode(BigValueGraphMode.None)
    .noValue('no data')
    .reduceOptions(new ReduceDataOptionsBuilder().values(false).calcs(['lastNotNull']).fields(''));
}

/** How many observations fell into each bucket of a histogram, over time. The expression sums by `le`. */
export function heatmap(of: Shown & { readonly unit: Unit }): Builder<Panel> {
  return new heatmaps.PanelBuilder()
    .title(of.title)
    .description(of.help)
    .datasource(DATASOURCE)
    .span(of.width ?? 12)
    .height(of.height ?? 8)
    .targets(targets(of.queries).map((each) => each.format(PromQueryFormat.Heatmap)))
    .calculate(false)
    .color(new heatmaps.HeatmapColorOptionsBuilder().mode(heatmaps.HeatmapColorMode.Scheme).scheme('Oranges').steps(64))
    .filterValues(new heatmaps.FilterValueRangeBuilder().le(1e-9))
    .yAxis(new heatmaps.YAxisConfigBuilder().unit(of.unit).axisPlacement(AxisPlacement.Left))
    .showLegend();
}

/** What each line was over time, in words. */
export function states(of: Shown & { readonly words: NonNullable<Stat['words']> }): Builder<Panel> {
  return new timelines.PanelBuilder()
    .title(of.title)
    .description(of.help)
    .datasource(DATASOURCE)
    .span(of.width ?? 12)
    .height(of.height ?? 8)
    .targets(targets(of.queries))
    .mappings(words(of.words))
    .mergeValues(true)
    .showValue(VisibilityMode.Never)
    .fillOpacity(70)
    .lineWidth(0)
    .legend(
      new VizLegendOptionsBuilder()
        .displayMode(LegendDisplayMode.List)
        .placement(LegendPlacement.Bottom)
        .showLegend(true),
    )
    .tooltip(new VizTooltipOptionsBuilder().mode(TooltipDisplayMode.Single));
}

/** The newest values with their labels as columns, without those named in `hidden`. */
export function table(of: Shown & { readonly hidden: readonly string[] }): Builder<Panel> {
  return new tables.PanelBuilder()
    .title(of.title)
    .description(of.help)
    .datasource(DATASOURCE)
    .span(of.width ?? 12)
    .height(of.height ?? 8)
    .targets(targets(of.queries).map((each) => each.format(PromQueryFormat.Table).instant()))
    .noValue('none')
    .withTransformation({
      id: 'organize',
      options: { excludeByName: Object.fromEntries(of.hidden.map((name) => [name, true])) },
    });
}
