import { globSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { judgeChartValues, type KnownServer, settingsGivenBy } from '../src/index.ts';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const read = (file: string) => readFileSync(`${ROOT}deploy/kubernetes/${file}`, 'utf8');
const servers = await Promise.all(
  (['security', 'proxy'] as const).map(async (name): Promise<KnownServer> => {
    const { SETTINGS } = (await import(`${ROOT}apps/${name}/src/config.ts`)) as { SETTINGS: KnownServer['settings'] };
    return { name, settings: SETTINGS };
  }),
);
const givenBy = (server: KnownServer['name']) => settingsGivenBy(read(`chart/templates/${server}.yaml`));
const given = { security: givenBy('security'), proxy: givenBy('proxy') };
const chart = { defaults: read('chart/values.yaml'), servers, given };
const judge = (...texts: string[]) =>
  judgeChartValues(
    texts.map((text, i) => ({ where: `v${i}.yaml`, text })),
    chart,
  );

test('values that come with the chart raise nothing, alone and with a database of others', () => {
  const all = globSync('values/*.yaml', { cwd: `${ROOT}deploy/kubernetes` });
  expect(all.length).toBeGreaterThan(3);
  for (const file of all.filter((name) => !name.includes('managed'))) {
    expect(judge(read(file)), file).toEqual([]);
    if (!file.includes('branch')) expect(judge(read(file), read('values/managed-database.yaml')), file).toEqual([]);
  }
});

const DATABASE = 'database: {hosts: "db:5432"}\n';
test('several nodes that share no place for packages of apps are asked about it, a single one is not', () => {
  const nodes = (replicas: number, packages = '{claim: ""}') =>
    judge(`${DATABASE}redis: {url: "rediss://r:6379"}\nsecurity: {replicas: ${replicas}, packages: ${packages}}`);
  expect(nodes(3)).toMatchObject([
    { severity: 'warning', what: expect.stringContaining('only by the node that took it') },
  ]);
  expect(nodes(1)).toEqual([]);
  expect(nodes(3, '{claim: shared}')).toEqual([]);
  expect(nodes(3, '{bucket: "s3://b/c?endpoint=https://s3&region=eu"}')).toEqual([]);
});

test.each([
  ['database: {host: "db:5432"}', /database\.host: the chart knows no such value/, 'database.hosts: …'],
  ['site: main', /database\.hosts: Security needs a database/, 'database: {hosts'],
  [`${DATABASE}security: {replicas: 3}`, /several nodes share throttles/, 'redis: {url'],
  [`${DATABASE}security: {packages: {claim: a, bucket: "s3://b/c"}}`, /one of the two does nothing/, 'claim: ""'],
  [`${DATABASE}redis: {url: "redis://r:6379"}`, /without TLS/, 'rediss://r:6379'],
  [
    `${DATABASE}security: {settings: {SALLYPORT_LEASE: 1}}`,
    /no setting of security is called so/,
    'SALLYPORT_LEASE_MS',
  ],
  [`${DATABASE}security: {settings: {SALLYPORT_LEASE_MS: 1}}`, /whole number/, 'SALLYPORT_LEASE_MS'],
  [
    `${DATABASE}security: {settings: {SALLYPORT_ADMIN_LISTEN: "0.0.0.0:1"}}`,
    /the chart gives it by other values/,
    'take',
  ],
  [`${DATABASE}networkPolicy: {enabled: false}`, /reaches the admin API/, 'enabled: true'],
  [`${DATABASE}networkPolicy: {operators: [{ipBlock: {cidr: 0.0.0.0/0}}]}`, /everybody is let in/, 'operators'],
  [`${DATABASE}gateway: {kind: TLSRoute}`, /has no certificate/, 'tlsSecret'],
  [`${DATABASE}gateway: {kind: HTTPRoute}`, /counted as a single device/, 'trustedHops: 1'],
  [
    `${DATABASE}proxy: {trustedHops: 1}\ningress: {enabled: true, host: a.example}`,
    /devices come without TLS/,
    'tlsSecret',
  ],
  [`${DATABASE}proxy: {service: {type: LoadBalancer}}`, /reached from outside/, 'tlsSecret'],
  [`security: {enabled: false}`, /need to know where it is/, 'securityUrls'],
  [`${DATABASE}proxy: {replicas: 3, autoscaling: {enabled: true}}`, /autoscaler says how many/, 'minReplicas'],
  [`${DATABASE}proxy: {autoscaling: {channels: 5}}`, /channels: the autoscaler is off/, 'enabled: true'],
  [`${DATABASE}proxy: {autoscaling: {enabled: true, minReplicas: 30}}`, /more than maxReplicas/, 'maxReplicas: 30'],
  [`${DATABASE}proxy: {autoscaling: {enabled: true, channels: 5}}`, /nobody may read metrics/, 'prometheus: […]'],
  [`${DATABASE}proxy: {replicas: -1}`, /replicas: it is another number, and has to be a whole number/, 'replicas: 1'],
  [`${DATABASE}proxy: {replicas: "2"}`, /replicas: it is text/, 'replicas: 1'],
  [`${DATABASE}proxy: {drainSeconds: 2.5}`, /drainSeconds: it is another number/, 'drainSeconds: 30'],
  [`${DATABASE}image: {tag: 1.0}`, /tag: it is a whole number, and has to be text/, 'tag: ""'],
  [`${DATABASE}networkPolicy: {devices: {}}`, /devices: it is a map, and has to be a list/, 'devices: []'],
  [`${DATABASE}monitoring: {rules: "yes"}`, /rules: it is text.*true or false/, 'rules: false'],
  [`${DATABASE}security: {names: [1.5]}`, /in it is another number, and it has to be a list, each of it text/, '[]'],
  [`${DATABASE}networkPolicy: {backends: [10.0.0.0/8]}`, /in it is text.*a list, each of it a map/, '[]'],
  [`${DATABASE}proxy: {service: {annotations: {a.b/c: true}}}`, /c: it is true or false, and has to be text/, '…'],
  [`${DATABASE}proxy: {settings: {SALLYPORT_BALANCERS: [a]}}`, /it is a list, and has to be text/, '…'],
  [
    `${DATABASE}proxy: {settings: {SALLYPORT_BALANCER: [a]}}`,
    /no setting of proxy is called so/,
    'SALLYPORT_BALANCERS',
  ],
  [`${DATABASE}proxy: {resources: 5}`, /resources: it is a whole number, and has to be a map/, '…'],
  [`${DATABASE}proxy: {autoscaling: {__proto__: 1}}`, /__proto__: the chart knows no such value/, 'proxy.autoscaling'],
  [`${DATABASE}monitoring: true`, /monitoring: it is made of several values/, 'monitoring.serviceMonitor: …'],
  [`${DATABASE}gateway: {kind: TCPRoute}`, /one of HTTPRoute, TLSRoute/, 'kind: TLSRoute'],
  [`${DATABASE}proxy: {service: {type: LoadBalancr}}`, /one of ClusterIP/, 'type: LoadBalancer'],
  [`${DATABASE}database: {hosts: x}`, /is no YAML/, 'mend'],
  [`${DATABASE}security: {settings: {SALLYPORT_JOURNAL_PASSWORD: abc}}`, /a secret in values/, 'security: {files:'],
  [`${DATABASE}proxy: {settings: {SALLYPORT_ACME_EAB_KEY: abc}}`, /a secret in values/, 'SALLYPORT_ACME_EAB_KEY_FILE:'],
  [`${DATABASE}redis: {password: "abc"}`, /a secret in values/, 'Secret'],
  [`${DATABASE}redis: {url: "rediss://u:abc@r:1"}`, /a secret in values/, 'Secret'],
])('%s', (text, words, change) => {
  const faults = judge(text);
  const fault = faults.find(({ what }) => words.test(what));
  expect(fault, JSON.stringify(faults)).toBeDefined();
  expect(fault).toMatchObject({ severity: 'error', where: 'v0.yaml', change: expect.stringContaining(change) });
});

test('an autoscaler by channels asks whether Prometheus knows the pods, unless a ServiceMonitor tells it', () => {
  const text = `${DATABASE}proxy: {autoscaling: {enabled: true, channels: 5}}
networkPolicy: {prometheus: [{podSelector: {matchLabels: {app: prometheus}}}]}
`;
  expect(judge(text)).toMatchObject([{ severity: 'warning', change: 'monitoring: {serviceMonitor: true}' }]);
  expect(judge(`${text}monitoring: {serviceMonitor: true}`)).toEqual([]);
});

test('an alias stands for what it names', () => {
  const named =
    'ingress: &on {enabled: true, host: a.example, tlsSecret: tls}\nproxy: {trustedHops: 1, autoscaling: *on}';
  expect(judge(`${DATABASE}${named}`).map(({ what }) => what)).toEqual([
    expect.stringMatching(/^proxy\.autoscaling\.host: the chart knows no such value/),
    expect.stringMatching(/^proxy\.autoscaling\.tlsSecret: the chart knows no such value/),
  ]);
});

test('settings that the chart leaves to others are theirs to give', () => {
  expect(given.proxy.length).toBeGreaterThan(5);
  expect(judge(`${DATABASE}security: {settings: {SALLYPORT_DRAIN_MS: 5000, SALLYPORT_LEASE_MS: 20000}}`)).toEqual([]);
  const inFile = 'files: more, settings: {SALLYPORT_JOURNAL_PASSWORD_FILE: /etc/sallyport/files/journal}';
  expect(judge(`${DATABASE}security: {${inFile}}`)).toEqual([]);
});

test('what Kubernetes reads is its own to judge: processors are numbers and texts', () => {
  const resources = '{requests: {cpu: 1, memory: 256Mi}, limits: {cpu: 1.5}}';
  expect(judge(`${DATABASE}security: {resources: ${resources}}\nproxy: {resources: ${resources}}`)).toEqual([]);
});

test('the line is that of the file in which the value stands', () => {
  const [fault] = judge(DATABASE, '\n\nsecurity:\n  replicas: 2\n');
  expect(fault).toMatchObject({ where: 'v1.yaml', line: 4 });
});
