import { readFileSync } from 'node:fs';
import { chartSchema, type KnownServer, settingsGivenBy } from '@sallyport/lint';
import type { Settings } from './settings.ts';

const CHART = 'deploy/kubernetes/chart';
/** The file by which Helm judges values before it installs anything. */
export const CHART_SCHEMA = `${CHART}/values.schema.json`;
const DRAFT = 'http://json-schema.org/draft-07/schema#';

/** That file, from the values of the chart and the settings of all apps. Helm adds `global` itself, where the chart is a part of another one. */
export function chartSchemaText(root: string, all: ReadonlyMap<string, Settings>): string {
  const read = (file: string): string => readFileSync(`${root}/${CHART}/${file}`, 'utf8');
  const known = (name: KnownServer['name']): KnownServer => ({
    name,
    settings: all.get(`apps/${name}`) as KnownServer['settings'],
  });
  const { properties, ...schema } = chartSchema({
    defaults: read('values.yaml'),
    servers: [known('security'), known('proxy')],
    given: {
      security: settingsGivenBy(read('templates/security.yaml')),
      proxy: settingsGivenBy(read('templates/proxy.yaml')),
    },
  });
  const whole = { $schema: DRAFT, ...schema, properties: { ...properties, global: { type: 'object' } } };
  return `${JSON.stringify(whole, undefined, 1)}\n`;
}
