import { allVariables } from '@sallyport/settings';
import { parse } from 'yaml';
import type { KnownServer } from './environment.ts';

/** The chart: its values with what holds unless somebody says otherwise, and which settings are given anyhow. */
export interface KnownChart {
  readonly defaults: string;
  readonly servers: readonly KnownServer[];
  /** Settings that its templates give by other values. */
  readonly given: Readonly<Record<KnownServer['name'], readonly string[]>>;
}

/** What a value is, by the names of JSON Schema; all whole numbers of the chart count something. */
export type ValueType = 'string' | 'integer' | 'number' | 'boolean' | 'array' | 'object';

/** What the chart takes, in the part of JSON Schema (draft 7) that it needs; without a type: whatever there is. */
export interface ValueSchema {
  readonly type?: ValueType | readonly ValueType[];
  readonly enum?: readonly string[];
  readonly minimum?: number;
  readonly items?: ValueSchema;
  readonly properties?: Readonly<Record<string, ValueSchema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: false | ValueSchema;
}

/** Values that are one of a few words. */
const WORDS: Readonly<Record<string, readonly string[]>> = {
  'gateway.kind': ['', 'HTTPRoute', 'TLSRoute'],
  'proxy.service.type': ['ClusterIP', 'NodePort', 'LoadBalancer'],
  'image.pullPolicy': ['Always', 'IfNotPresent', 'Never'],
};

/** Lists of names and URLs; all others are of objects as Kubernetes has them. */
const LISTS_OF_TEXT: readonly string[] = [
  'security.names',
  'proxy.securityUrls',
  'proxy.furtherAccounts',
  'gateway.hostnames',
];

/** Whatever a setting is written as, a server reads its text. */
const SETTING: ValueSchema = { type: ['string', 'integer', 'number', 'boolean'] };

/** What images say themselves. */
const OF_IMAGES = 'SALLYPORT_DATA';

/** Settings that a template gives a server. */
export function settingsGivenBy(template: string): string[] {
  return [...template.matchAll(/\bname: (SALLYPORT_\w+)/g)].map(([, name]) => name!);
}

/** Whether a setting is given by the chart or the image, so that in values it does nothing. */
export function isGivenAnyhow(name: string, server: KnownServer['name'], { given }: KnownChart): boolean {
  return name === OF_IMAGES || given[server].includes(name);
}

/**
 * What the chart takes: its own values say which there are and of which kind, and the servers which settings. A value that is taken away
 * (`null`) is missed.
 */
export function chartSchema(chart: KnownChart): ValueSchema {
  return schemaOf(parse(chart.defaults), '', chart);
}

function schemaOf(value: unknown, path: string, chart: KnownChart): ValueSchema {
  const passed = passedOn(path, chart);
  if (passed) return passed;
  if (typeof value === 'boolean') return { type: 'boolean' };
  if (typeof value === 'number') return { type: 'integer', minimum: 0 };
  if (typeof value === 'string') return WORDS[path] ? { type: 'string', enum: WORDS[path] } : { type: 'string' };
  if (Array.isArray(value))
    return { type: 'array', items: { type: LISTS_OF_TEXT.includes(path) ? 'string' : 'object' } };
  const inner = Object.entries(value as object).map(
    ([name, one]) => [name, schemaOf(one, path === '' ? name : `${path}.${name}`, chart)] as const,
  );
  return {
    type: 'object',
    additionalProperties: false,
    required: inner.map(([name]) => name),
    properties: Object.fromEntries(inner),
  };
}

/** What is not the chart's own: it goes on as it is to Kubernetes, or to a server. */
function passedOn(path: string, chart: KnownChart): ValueSchema | undefined {
  const name = path.split('.').at(-1);
  if (name === 'resources') return { type: 'object' };
  if (name === 'annotations') return { type: 'object', additionalProperties: { type: 'string' } };
  const server = chart.servers.find((one) => path === `${one.name}.settings`);
  if (!server) return undefined;
  const names = Object.keys(allVariables(server.settings)).filter((one) => !isGivenAnyhow(one, server.name, chart));
  return {
    type: 'object',
    additionalProperties: false,
    properties: Object.fromEntries(names.map((one) => [one, SETTING])),
  };
}

/** What is said of the value at a path; undefined: there is no such value. */
export function schemaAt(schema: ValueSchema, path: string): ValueSchema | undefined {
  let at = schema;
  for (const name of path.split('.')) {
    if (!Object.hasOwn(at.properties ?? {}, name))
      return at.additionalProperties === false ? undefined : (at.additionalProperties ?? {});
    at = at.properties![name]!;
  }
  return at;
}

/** Whether a value is of one of the types that are said. */
export function isOfType(value: unknown, { type }: ValueSchema): boolean {
  const [types, own] = [typesOf(type), typeOf(value)];
  return types.length === 0 || (own !== undefined && types.includes(own));
}

function typesOf(type: ValueSchema['type']): readonly ValueType[] {
  if (type === undefined) return [];
  return typeof type === 'string' ? [type] : type;
}

/** The type of a value; undefined of nothing. */
function typeOf(value: unknown): ValueType | undefined {
  if (typeof value === 'number') return Number.isInteger(value) && value >= 0 ? 'integer' : 'number';
  if (typeof value === 'string' || typeof value === 'boolean') return typeof value as 'string' | 'boolean';
  if (Array.isArray(value)) return 'array';
  return value === null || value === undefined ? undefined : 'object';
}

const SAID: Readonly<Record<ValueType, string>> = {
  string: 'text (in quotes, where it looks like a number)',
  integer: 'a whole number',
  number: 'another number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a map',
};

/** What a value is, in words. */
export function sayKind(value: unknown): string {
  const type = typeOf(value);
  return type === undefined ? 'nothing' : SAID[type];
}

/** What a value has to be, in words. */
export function sayType({ type, items }: ValueSchema): string {
  const said = typesOf(type).map((one) => SAID[one]);
  return items ? `${said}, each of it ${sayType(items)}` : said.join(', ');
}
