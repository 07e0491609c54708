import { allVariables } from '@sallyport/settings';
import { isAlias, isMap, isNode, isScalar, LineCounter, parseDocument } from 'yaml';
import {
  chartSchema,
  isGivenAnyhow,
  isOfType,
  type KnownChart,
  sayKind,
  sayType,
  schemaAt,
  type ValueSchema,
} from './chart-schema.ts';
import type { LintFault } from './fault.ts';
import { nearestName } from './nearest.ts';
import { hasSecretInUrl, withoutUserInfo } from './url-secret.ts';

/** A file of values for the chart. */
export interface ValuesFile {
  readonly where: string;
  readonly text: string;
}

/** A value where it is set. */
interface SetValue {
  readonly path: string;
  readonly value: unknown;
  readonly where: string;
  readonly line: number;
}

/** Values as Helm has them in the end. */
interface ChartValues {
  readonly set: ReadonlyMap<string, SetValue>;
  get(path: string): unknown;
}

interface ValueDoubt {
  readonly path: string;
  readonly what: string;
  readonly change: string;
  /** An error unless said otherwise. */
  readonly severity?: LintFault['severity'];
}

/** A setting of a server. */
const SETTING_PATH = /^(security|proxy)\.settings\.(.+)$/;

/** Everything that is wrong with values for the chart, files in the order in which Helm is given them: later ones win. */
export function judgeChartValues(files: readonly ValuesFile[], chart: KnownChart): LintFault[] {
  const broken = files.flatMap(unreadable);
  if (broken.length > 0) return broken;
  const defaults = leavesOf({ where: 'values.yaml', text: chart.defaults });
  const given = files.flatMap(leavesOf);
  const values = valuesOf([...defaults, ...given], given);
  const schema = chartSchema(chart);
  const faults = [
    ...given.flatMap((one) => unknownValue(one, schema, defaults)),
    ...given.flatMap((one) => wrongKind(one, schema, defaults)),
    ...given.flatMap((one) => doubtsOfSetting(one, chart)),
    ...given.flatMap((one) => writtenSecret(one, chart)),
  ];
  const doubts = VALUE_RULES.flatMap((rule) => rule(values));
  const home = files.at(-1)?.where ?? 'values';
  return [...faults, ...doubts.map((doubt) => faultOf(doubt, values, home))];
}

function faultOf(
  { path, what, change, severity = 'error' }: ValueDoubt,
  { set }: ChartValues,
  home: string,
): LintFault {
  const place = set.get(path) ?? [...set.values()].find((one) => one.path.startsWith(`${path}.`));
  const at = place ? { where: place.where, line: place.line } : { where: home };
  return { ...at, severity, what: `${path}: ${what}`, change };
}

function unreadable({ where, text }: ValuesFile): LintFault[] {
  const counter = new LineCounter();
  const [fault] = parseDocument(text, { lineCounter: counter }).errors;
  if (!fault) return [];
  const what = `is no YAML: ${fault.message.split('\n', 1)[0]}`;
  return [{ where, line: counter.linePos(fault.pos[0]).line, severity: 'error', what, change: 'mend this line' }];
}

/** All values of a file that are no maps, by their paths. */
function leavesOf({ where, text }: ValuesFile): SetValue[] {
  const counter = new LineCounter();
  const document = parseDocument(text, { lineCounter: counter });
  const found: SetValue[] = [];
  const walk = (node: unknown, path: string): void => {
    if (!isMap(node)) return;
    for (const { key, value: written } of node.items) {
      if (!isScalar(key)) continue;
      const value = isAlias(written) ? written.resolve(document) : written;
      const inner = path === '' ? String(key.value) : `${path}.${key.value}`;
      const line = counter.linePos(key.range![0]).line;
      if (isMap(value) && value.items.length > 0) walk(value, inner);
      else found.push({ path: inner, value: isNode(value) ? value.toJS(document) : value, where, line });
    }
  };
  walk(document.contents, '');
  return found;
}

function valuesOf(all: readonly SetValue[], given: readonly SetValue[]): ChartValues {
  const byPath = new Map(all.map((one) => [one.path, one.value]));
  return { set: new Map(given.map((one) => [one.path, one])), get: (path) => byPath.get(path) };
}

/** Whether a setting is one that a server has is judged by its server. */
function unknownValue(one: SetValue, schema: ValueSchema, defaults: readonly SetValue[]): LintFault[] {
  const { path, where, line } = one;
  const own = schemaAt(schema, path);
  if (SETTING_PATH.test(path) || (own && !own.required)) return [];
  if (own) {
    const change = `${path}.${own.required![0]}: …`;
    return [{ where, line, severity: 'error', what: `${path}: it is made of several values`, change }];
  }
  const nearest = nearestName(
    path,
    defaults.map((known) => known.path),
  );
  const change = nearest ? `${nearest}: …` : 'take the line away';
  return [{ where, line, severity: 'error', what: `${path}: the chart knows no such value: it does nothing`, change }];
}

/** A value is of the kind that the chart's own is: otherwise Helm refuses it, or the cluster takes it for another one. */
function wrongKind(one: SetValue, schema: ValueSchema, defaults: readonly SetValue[]): LintFault[] {
  const { path, value, where, line } = one;
  const own = schemaAt(schema, path);
  if (!own || own.required) return [];
  const fault = (what: string, change: string): LintFault[] => [
    { where, line, severity: 'error', what: `${path}: ${what}`, change: `${path}: ${change}` },
  ];
  const usual = defaults.find((known) => known.path === path);
  const change = usual ? JSON.stringify(usual.value) : '…';
  if (!isOfType(value, own)) return fault(`it is ${sayKind(value)}, and has to be ${sayType(own)}`, change);
  const odd = Array.isArray(value) && own.items ? value.find((item) => !isOfType(item, own.items!)) : undefined;
  if (odd !== undefined) return fault(`in it is ${sayKind(odd)}, and it has to be ${sayType(own)}`, change);
  if (own.enum && !own.enum.includes(String(value)))
    return fault(`it is one of ${own.enum.filter(Boolean).join(', ')}`, own.enum.at(-1)!);
  return [];
}

function doubtsOfSetting({ path, value, where, line }: SetValue, chart: KnownChart): LintFault[] {
  const [, server, name] = SETTING_PATH.exec(path) ?? [];
  const known = chart.servers.find((one) => one.name === server);
  if (!known || name === undefined) return [];
  const fault = (what: string, change: string): LintFault[] => [
    { where, line, severity: 'error', what: `${path}: ${what}`, change },
  ];
  const setting = allVariables(known.settings)[name];
  if (!setting) {
    const nearest = nearestName(name, Object.keys(known.settings));
    return fault(
      `no setting of ${server} is called so: it does nothing`,
      nearest ? `${nearest}: …` : 'take the line away',
    );
  }
  if (isGivenAnyhow(name, known.name, chart))
    return fault('the chart gives it by other values: one of the two does nothing', 'take the line away');
  // Of a list or a map its kind is said.
  if (typeof value === 'object') return [];
  try {
    setting.parse(String(value));
    return [];
  } catch (error) {
    return fault(`${(error as Error).message} (${setting.about})`, `${name}: …`);
  }
}

/** Secrets are named, never written. The chart refuses those of settings itself. */
function writtenSecret({ path, value, where, line }: SetValue, { servers }: KnownChart): LintFault[] {
  const isSecret = isSecretPath(path, servers) && typeof value === 'string' && value !== '';
  const isPem = typeof value === 'string' && value.includes('-----BEGIN');
  const isInUrl = typeof value === 'string' && hasSecretInUrl(value);
  if (!isSecret && !isPem && !isInUrl) return [];
  const what = `${path}: a secret in values is read by whoever reads the release`;
  const [, server, name] = SETTING_PATH.exec(path) ?? [];
  const change =
    name === undefined
      ? 'put it into a Secret, and name that'
      : `${server}: {files: NAME-OF-A-SECRET, settings: {${name}_FILE: /etc/sallyport/files/KEY}}`;
  return [{ where, line, severity: 'error', what, change }];
}

/** A setting says itself whether it is one; of other values their names do. */
function isSecretPath(path: string, servers: KnownChart['servers']): boolean {
  const [, server, name] = SETTING_PATH.exec(path) ?? [];
  if (name === undefined) return /password|token|privatekey/i.test(path);
  return servers.find((one) => one.name === server)?.settings[name]?.secret === true;
}

const VALUE_RULES: readonly ((values: ChartValues) => ValueDoubt[])[] = [
  missingDatabase,
  lonelyNodes,
  scatteredPackages,
  openPolicies,
  ways,
  plainWays,
  lonelyProxies,
  idleNumbers,
  unreadChannels,
];

function missingDatabase({ get }: ChartValues): ValueDoubt[] {
  if (get('security.enabled') !== true || get('database.hosts') !== '') return [];
  return [
    { path: 'database.hosts', what: 'Security needs a database of your own', change: 'database: {hosts: "host:5432"}' },
  ];
}

function lonelyNodes({ get }: ChartValues): ValueDoubt[] {
  if (get('security.enabled') !== true || Number(get('security.replicas')) < 2 || get('redis.url') !== '') return [];
  const what = 'several nodes share throttles and wake-ups in Redis, and none is named';
  return [{ path: 'security.replicas', what, change: 'redis: {url: "rediss://host:6379"}' }];
}

/** A question only: a farm may have no apps to give out. */
function scatteredPackages({ get }: ChartValues): ValueDoubt[] {
  if (get('security.enabled') !== true) return [];
  const [claim, bucket] = [get('security.packages.claim'), get('security.packages.bucket')];
  if (claim !== '' && bucket !== '')
    return [
      {
        path: 'security.packages.bucket',
        what: 'packages of apps are in the claim already: one of the two does nothing',
        change: 'security: {packages: {claim: "", bucket: …}}',
      },
    ];
  if (Number(get('security.replicas')) < 2 || claim !== '' || bucket !== '') return [];
  const what = 'each node has packages of apps of its own: a device gets an update only by the node that took it';
  const change = 'security: {packages: {claim: NAME}}, or {bucket: "s3://…"}, unless you publish no apps';
  return [{ path: 'security.packages.claim', what, change, severity: 'warning' }];
}

function openPolicies({ get }: ChartValues): ValueDoubt[] {
  const doubts: ValueDoubt[] = [];
  if (get('networkPolicy.enabled') === false)
    doubts.push({
      path: 'networkPolicy.enabled',
      what: 'every pod of the cluster reaches the admin API, the metrics and the health of Proxies',
      change: 'networkPolicy: {enabled: true}',
    });
  for (const who of ['operators', 'prometheus', 'furtherProxies']) {
    const path = `networkPolicy.${who}`;
    const peers = JSON.stringify(get(path) ?? []);
    if (/"(0\.0\.0\.0|::)\/0"/.test(peers) || /\{\}/.test(peers))
      doubts.push({ path, what: 'everybody is let in', change: `${path}: addresses or pods of those who need it` });
  }
  const url = withoutUserInfo(String(get('redis.url') ?? ''));
  if (/^redis(\+|:)/.test(url))
    doubts.push({
      path: 'redis.url',
      what: 'Redis is reached without TLS',
      change: `redis: {url: "${url.replace('redis', 'rediss')}"}`,
    });
  return doubts;
}

function ways({ get }: ChartValues): ValueDoubt[] {
  if (get('proxy.enabled') !== true) return [];
  const [kind, ingress] = [String(get('gateway.kind')), get('ingress.enabled') === true];
  const doubts: ValueDoubt[] = [];
  if (kind !== '' && ingress)
    doubts.push({
      path: 'ingress.enabled',
      what: 'devices come by the gateway already',
      change: 'ingress: {enabled: false}',
    });
  if (kind === 'TLSRoute' && !endsTls(get))
    doubts.push({
      path: 'gateway.kind',
      what: 'TLS ends at the Proxy, which has no certificate',
      change: 'proxy: {tlsSecret: name}',
    });
  const ends = kind === 'HTTPRoute' || ingress;
  if (ends && Number(get('proxy.trustedHops')) === 0)
    doubts.push({
      path: 'proxy.trustedHops',
      what: 'who ends TLS in front is counted as a single device: limits would meet everybody at once',
      change: 'proxy: {trustedHops: 1}',
    });
  return doubts;
}

/** Whether Proxies have a certificate, from a Secret or as files of a CSI driver. */
function endsTls(get: ChartValues['get']): boolean {
  return get('proxy.tlsSecret') !== '' || get('secretFiles.classes.tls') !== '';
}

function plainWays({ get }: ChartValues): ValueDoubt[] {
  if (get('proxy.enabled') !== true) return [];
  if (get('ingress.enabled') === true && get('ingress.tlsSecret') === '')
    return [{ path: 'ingress.enabled', what: 'devices come without TLS', change: 'ingress: {tlsSecret: name}' }];
  const open = ['LoadBalancer', 'NodePort'].includes(String(get('proxy.service.type')));
  if (!open || endsTls(get)) return [];
  const what = 'the Service is reached from outside, and no TLS ends at the Proxy';
  return [{ path: 'proxy.service.type', what, change: 'proxy: {tlsSecret: name}' }];
}

function lonelyProxies({ get }: ChartValues): ValueDoubt[] {
  const urls = get('proxy.securityUrls') as readonly string[] | undefined;
  if (get('proxy.enabled') !== true || get('security.enabled') === true || (urls && urls.length > 0)) return [];
  const what = 'Proxies without a Security of this release need to know where it is';
  return [{ path: 'proxy.securityUrls', what, change: 'proxy: {securityUrls: ["https://security:8443"]}' }];
}

/** Numbers of Proxies that nobody reads: by hand where an autoscaler is, or its own where it is off. */
function idleNumbers({ get, set }: ChartValues): ValueDoubt[] {
  const scales = get('proxy.autoscaling.enabled') === true;
  const idle = scales
    ? ['proxy.replicas']
    : [...set.keys()].filter((path) => /^proxy\.autoscaling\.(?!enabled$)/.test(path));
  const doubts = idle
    .filter((path) => set.has(path))
    .map((path): ValueDoubt => {
      const what = scales
        ? 'the autoscaler says how many there are: it does nothing'
        : 'the autoscaler is off: it does nothing';
      return {
        path,
        what,
        change: scales ? 'proxy: {autoscaling: {minReplicas: …}}' : 'proxy: {autoscaling: {enabled: true}}',
      };
    });
  const [least, most] = ['minReplicas', 'maxReplicas'].map((name) => Number(get(`proxy.autoscaling.${name}`)));
  if (scales && least! > most!)
    doubts.push({
      path: 'proxy.autoscaling.minReplicas',
      what: 'it is more than maxReplicas',
      change: `maxReplicas: ${least}`,
    });
  return doubts;
}

/** Whether a cluster has the adapter is seen by the chart, when it is installed; what of it stands in values is seen here. */
function unreadChannels({ get }: ChartValues): ValueDoubt[] {
  const path = 'proxy.autoscaling.channels';
  if (get('proxy.autoscaling.enabled') !== true || Number(get(path)) === 0) return [];
  const peers = get('networkPolicy.prometheus') as readonly unknown[] | undefined;
  if (get('networkPolicy.enabled') === true && (peers ?? []).length === 0)
    return [
      {
        path,
        what: 'Prometheus counts channels, and nobody may read metrics',
        change: 'networkPolicy: {prometheus: […]}',
      },
    ];
  if (get('monitoring.serviceMonitor') === true) return [];
  const what =
    'Prometheus has to read the pods for it, and nothing here tells it to: right only if it knows them otherwise';
  return [{ path, what, change: 'monitoring: {serviceMonitor: true}', severity: 'warning' }];
}
