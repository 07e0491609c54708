import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { judgeEnvironment, type KnownServer } from '@sallyport/lint';
import { runCommand, scratchFolder } from '@sallyport/support';
import Ajv from 'ajv';
import { expect, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { FARMS, type Farm, markOf, renderedFile, renderFarm, valuesFiles } from '../src/kubernetes/chart.ts';
import { ROLES } from '../src/roles.ts';
import { ROOT } from '../src/source.ts';

/** Whatever YAML has: the schemas say what it must be. */
type Tree = ReturnType<typeof parse>;
const ports = parse(readFileSync(join(ROOT, 'deploy/kubernetes/chart/files/ports.yaml'), 'utf8'));

const HELM = join(process.env['K8S'] ?? '/var/tmp/sallyport-kubernetes', 'bin', 'helm');

/** YAML 1.1, as Kubernetes reads it: modes of files are octal. */
function objectsOf(farm: Farm): Tree[] {
  const documents = parseAllDocuments(readFileSync(renderedFile(farm), 'utf8'), { version: '1.1' });
  return documents.map((document) => document.toJS()).filter((object) => object !== null);
}

const objects = Object.fromEntries(FARMS.map((farm) => [farm, objectsOf(farm)])) as Record<Farm, Tree[]>;
const all = FARMS.flatMap((farm) => objects[farm]!);
const kindsOf = (farm: Farm) => [...new Set(objects[farm]!.map(({ kind }) => kind))].sort();
const podsOf = (list: readonly Tree[]) =>
  list.filter(({ spec }) => spec?.template).map(({ spec }) => spec.template.spec);

test('the manifests that are checked in are those of the chart', () => {
  for (const farm of FARMS) expect(readFileSync(renderedFile(farm), 'utf8').startsWith(markOf(farm)), farm).toBe(true);
  if (!existsSync(HELM))
    return void process.stdout.write('skipped: no Helm to render them again ("npm run kubernetes -- build")\n');
  for (const farm of FARMS) expect(renderFarm(HELM, farm), farm).toBe(readFileSync(renderedFile(farm), 'utf8'));
});

/** Schemas by API group and version. */
const SCHEMAS: Readonly<Record<string, () => Promise<object>>> = {
  'gateway.networking.k8s.io/v1': () => import('@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1'),
  'gateway.networking.k8s.io/v1alpha2': () =>
    import('@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1alpha2'),
  'monitoring.coreos.com/v1': () => import('@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1'),
  'apps/v1': () => import('kubernetes-models/apps/v1'),
  'autoscaling/v2': () => import('kubernetes-models/autoscaling/v2'),
  'networking.k8s.io/v1': () => import('kubernetes-models/networking.k8s.io/v1'),
  'policy/v1': () => import('kubernetes-models/policy/v1'),
  v1: () => import('kubernetes-models/v1'),
};

type Model = new (object: object) => { validate(): void };

async function modelOf(apiVersion: string, kind: string): Promise<Model> {
  return ((await SCHEMAS[apiVersion]!()) as Record<string, Model>)[kind]!;
}

test('every object is valid by the schema of its kind', async () => {
  for (const object of all) {
    const { apiVersion, kind } = object;
    const Kind = await modelOf(apiVersion, kind);
    expect(() => new Kind(object).validate(), `${kind} ${object.metadata.name}`).not.toThrow();
  }
  const Service = await modelOf('v1', 'Service');
  expect(() => new Service({ spec: { ports: [{ port: 'x' }] } }).validate()).toThrow();
});

const HELM_IS_MISSING = 'skipped: no Helm to try it ("npm run kubernetes -- build")\n';
const CHART = join(ROOT, 'deploy/kubernetes/chart');

function renderWith(chart: string, ...more: string[]) {
  const args = [
    'template',
    'farm',
    chart,
    '--kube-version',
    '1.34.4',
    '--api-versions',
    'custom.metrics.k8s.io/v1beta1',
  ];
  return runCommand(HELM, [...args, ...more]);
}

/** Values as Helm puts them together. */
function mergedValues(under: Tree, over: Tree): Tree {
  const isMap = (one: Tree) => typeof one === 'object' && one !== null && !Array.isArray(one);
  if (!isMap(under) || !isMap(over)) return over;
  const both = Object.keys(over).map((name) => [
    name,
    name in under ? mergedValues(under[name], over[name]) : over[name],
  ]);
  return { ...under, ...Object.fromEntries(both) };
}

test('the schema of values takes those of every farm, and refuses what nobody reads or what is of another kind', async () => {
  const schema = JSON.parse(readFileSync(join(CHART, 'values.schema.json'), 'utf8'));
  const judge = new Ajv.default({ strict: false }).compile(schema);
  const defaults = parse(readFileSync(join(CHART, 'values.yaml'), 'utf8'));
  for (const farm of FARMS) {
    const values = valuesFiles(farm).map((file) => parse(readFileSync(file, 'utf8')));
    expect(judge(values.reduce(mergedValues, defaults)), `${farm}: ${JSON.stringify(judge.errors)}`).toBe(true);
  }
  const refused: readonly (readonly [path: string, values: object, keyword: string])[] = [
    ['/proxy', { proxy: { replica: 2 } }, 'additionalProperties'],
    ['', { proxys: {} }, 'additionalProperties'],
    ['/security/settings', { security: { settings: { SALLYPORT_LEASE: 1 } } }, 'additionalProperties'],
    ['/security/settings', { security: { settings: { SALLYPORT_NAMES: 'a' } } }, 'additionalProperties'],
    ['/proxy/replicas', { proxy: { replicas: '2' } }, 'type'],
    ['/proxy/replicas', { proxy: { replicas: -1 } }, 'minimum'],
    ['/proxy/securityUrls', { proxy: { securityUrls: 'https://a' } }, 'type'],
    ['/proxy/securityUrls/0', { proxy: { securityUrls: [1] } }, 'type'],
    ['/networkPolicy/backends/0', { networkPolicy: { backends: ['10.0.0.0/8'] } }, 'type'],
    ['/gateway/kind', { gateway: { kind: 'TCPRoute' } }, 'enum'],
    ['/image/tag', { image: { tag: 20_261_127 } }, 'type'],
    ['/proxy/service/annotations/a.b~1c', { proxy: { service: { annotations: { 'a.b/c': true } } } }, 'type'],
  ];
  for (const [instancePath, values, keyword] of refused) {
    expect(judge(mergedValues(defaults, values)), JSON.stringify(values)).toBe(false);
    expect(judge.errors).toEqual([expect.objectContaining({ instancePath, keyword })]);
  }
  const { hosts: _, ...nameless } = defaults.database;
  expect(judge({ ...defaults, database: nameless })).toBe(false);
  const cores = {
    proxy: { resources: { limits: { cpu: 2 } }, settings: { SALLYPORT_BALANCERS: 'a' } },
    global: { a: 1 },
  };
  expect(judge(mergedValues(defaults, cores)), JSON.stringify(judge.errors)).toBe(true);
});

test('Helm refuses a misspelt value, and one of another kind, with its place, also inside of another chart', async () => {
  if (!existsSync(HELM)) return void process.stdout.write(HELM_IS_MISSING);
  const database = ['--set', 'database.hosts=db:5432'];
  for (const [set, words] of [
    ['proxy.replica=2', /\/proxy.*'replica' not allowed/],
    ['security.settings.SALLYPORT_LEASE=1', /\/security\/settings.*'SALLYPORT_LEASE' not allowed/],
    ['proxy.replicas=two', /\/proxy\/replicas.*want integer/],
    ['proxy.replicas=null', /\/proxy.*missing property 'replicas'/],
    ['gateway.kind=TCPRoute', /\/gateway\/kind.*must be one of/],
  ] as const) {
    const { code, stderr } = await renderWith(CHART, ...database, '--set', set);
    expect([set, code], stderr).toEqual([set, 1]);
    expect(stderr).toMatch(words);
  }
  const outer = scratchFolder();
  writeFileSync(join(outer, 'Chart.yaml'), 'apiVersion: v2\nname: outer\nversion: 1.0.0\n');
  cpSync(CHART, join(outer, 'charts', 'sallyport'), { recursive: true });
  const inside = await renderWith(outer, '--set', 'sallyport.database.hosts=db:5432,global.a=b');
  expect([inside.code, inside.stdout], inside.stderr).toEqual([0, expect.stringContaining('kind: StatefulSet')]);
  const refused = await renderWith(outer, '--set', 'sallyport.database.host=db:5432');
  expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining("'host' not allowed")]);
});

test('a setting that is a number in values comes to its server digit by digit', async () => {
  if (!existsSync(HELM)) return void process.stdout.write(HELM_IS_MISSING);
  const file = join(scratchFolder(), 'values.json');
  const settings = { SALLYPORT_JOIN_AUDIENCE: 12_345_678, SALLYPORT_LEASE_MS: 20_000, SALLYPORT_BACKUP_KEEP: 1.5 };
  writeFileSync(file, JSON.stringify({ database: { hosts: 'db:5432' }, security: { settings } }));
  const { stdout, stderr } = await renderWith(CHART, '--values', file);
  for (const [name, value] of Object.entries(settings))
    expect(stdout, stderr).toContain(`{name: ${name}, value: "${value}"}`);
});

test('channels by which Proxies become more are written digit by digit', async () => {
  if (!existsSync(HELM)) return void process.stdout.write(HELM_IS_MISSING);
  const file = join(scratchFolder(), 'values.json');
  const proxy = { autoscaling: { enabled: true, channels: 2_500_000 } };
  writeFileSync(file, JSON.stringify({ database: { hosts: 'db:5432' }, proxy, networkPolicy: { prometheus: [{}] } }));
  const { stdout, stderr } = await renderWith(CHART, '--values', file);
  expect(stdout, stderr).toContain('averageValue: "2500000"');
});

test('a highly available farm has everything that keeps it up, and a branch has no Security', () => {
  expect(kindsOf('high-availability')).toEqual([
    ...['Deployment', 'HorizontalPodAutoscaler', 'NetworkPolicy', 'PodDisruptionBudget', 'PrometheusRule'],
    ...['Service', 'ServiceAccount', 'ServiceMonitor', 'StatefulSet', 'TLSRoute'],
  ]);
  expect(kindsOf('one-node')).toContain('Ingress');
  expect(kindsOf('branch')).toEqual(expect.arrayContaining(['Deployment', 'HTTPRoute']));
  expect(JSON.stringify(objects.branch)).not.toMatch(/kek|database|StatefulSet/);
});

test('pods are restricted: no root, no capability, nothing to write but their volumes, no token of the cluster', () => {
  const pods = podsOf(all);
  expect(pods).toHaveLength(7);
  for (const pod of pods) {
    expect(pod).toMatchObject({ automountServiceAccountToken: false, enableServiceLinks: false });
    expect(pod.securityContext).toMatchObject({
      runAsNonRoot: true,
      runAsUser: 65_532,
      seccompProfile: { type: 'RuntimeDefault' },
    });
    for (const name of ['hostNetwork', 'hostPID', 'hostIPC', 'initContainers']) expect(pod[name]).toBeUndefined();
    for (const container of pod.containers) {
      expect(container.securityContext).toEqual({
        ...{ allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } },
      });
      expect(container.resources).toMatchObject({
        requests: { cpu: expect.anything() },
        limits: { memory: expect.anything() },
      });
      for (const probe of ['startupProbe', 'readinessProbe', 'livenessProbe'])
        expect(container[probe]?.httpGet).toBeDefined();
      const { seconds } = container.lifecycle.preStop.sleep;
      const drainMs = Number(
        container.env.find(({ name }: { name: string }) => name === 'SALLYPORT_DRAIN_MS')?.value ?? 3_000,
      );
      expect(pod.terminationGracePeriodSeconds).toBeGreaterThanOrEqual(seconds + drainMs / 1_000 + 20);
    }
  }
});

test('a token of a pod is for this gateway alone and lives for less than an hour', () => {
  const volumes = podsOf(all)
    .flatMap(({ volumes }) => volumes)
    .filter(({ projected }) => projected);
  expect(volumes).toHaveLength(4);
  for (const { projected } of volumes)
    expect(projected.sources).toEqual([
      { serviceAccountToken: { audience: 'sallyport', expirationSeconds: 600, path: 'token' } },
    ]);
});

test('secrets are named and never written, and modes keep them from others', () => {
  expect(all.filter(({ kind }) => kind === 'Secret' || kind === 'ConfigMap')).toEqual([]);
  for (const pod of podsOf(all)) {
    for (const { secret } of pod.volumes.filter(({ secret }: Tree) => secret)) expect(secret.defaultMode).toBe(0o440);
    const environment = pod.containers.flatMap(({ env }: Tree) => env);
    for (const { name, value } of environment)
      if (/PASSWORD|SECRET/.test(name)) expect(`${name} ${value}`).toMatch(/_FILE \/etc\/sallyport\/\w+\/password$/);
  }
});

test('the nodes of a farm share one place for packages of apps', () => {
  const [pod] = podsOf(objects['high-availability']!.filter(({ kind }) => kind === 'StatefulSet'));
  const [{ env, volumeMounts }] = pod.containers;
  const { value } = env.find(({ name }: Tree) => name === 'SALLYPORT_PACKAGES');
  const { name } = volumeMounts.find(({ mountPath }: Tree) => mountPath === value);
  expect(pod.volumes.find((volume: Tree) => volume.name === name).persistentVolumeClaim.claimName).toBe(
    'sallyport-packages',
  );
});

test('secrets may be files of a CSI driver, and no Secret is then named', () => {
  const [pod] = podsOf(objects['managed-database'].filter(({ kind }) => kind === 'StatefulSet'));
  const classes = pod.volumes.filter(({ csi }: Tree) => csi).map(({ csi }: Tree) => csi.volumeAttributes);
  expect(classes).toEqual([{ secretProviderClass: 'sallyport-kek' }, { secretProviderClass: 'sallyport-database' }]);
  expect(JSON.stringify(pod)).not.toContain('secretName');
});

test('the chart refuses secrets of settings by the names that the servers read, and says where they go', async () => {
  const template = readFileSync(join(ROOT, 'deploy/kubernetes/chart/templates/_names.tpl'), 'utf8');
  const refused = [...(/has \$name \(list ([^)]+)\)/.exec(template)?.[1] ?? '').matchAll(/"(\w+)"/g)].map(
    ([, name]) => name,
  );
  const secrets: string[] = [];
  for (const app of ['security', 'proxy']) {
    const { SETTINGS } = await import(join(ROOT, 'apps', app, 'src/config.ts'));
    secrets.push(...Object.keys(SETTINGS).filter((name) => SETTINGS[name].secret));
  }
  expect(refused.toSorted()).toEqual(secrets.toSorted());
  if (!existsSync(HELM))
    return void process.stdout.write('skipped: no Helm to try it ("npm run kubernetes -- build")\n');
  const render = (...set: string[]) =>
    runCommand(HELM, [
      ...['template', 'farm', join(ROOT, 'deploy/kubernetes/chart'), '--kube-version', '1.34.4'],
      ...['--set', 'database.hosts=db:5432'],
      ...set.flatMap((one) => ['--set', one]),
    ]);
  for (const [set, words] of [
    ['security.settings.SALLYPORT_JOURNAL_PASSWORD=x', /a secret has no place in values: make it a key of the Secret/],
    ['proxy.settings.SALLYPORT_ACME_EAB_KEY=x', /write SALLYPORT_ACME_EAB_KEY_FILE: \/etc\/sallyport\/files\/KEY/],
    ['security.settings.SALLYPORT_JOURNAL=postgresql://u:x@h/d', /holds a password or a key/],
    ['redis.url=rediss://u:x@h:1', /redis\.url: a password has no place/],
    ['security.packages.bucket=s3://b/p?credentials=/x', /credentials have no place in values/],
    ['security.packages.bucket=https://b', /s3:\/\/bucket/],
  ] as const) {
    const { code, stderr } = await render(set);
    expect([set, code], stderr).toEqual([set, 1]);
    expect(stderr).toMatch(words);
  }
  const { stdout } = await render(
    ...['security.files=more', 'proxy.files=more', 'secretFiles.classes.proxyFiles=those'],
    'security.settings.SALLYPORT_JOURNAL_PASSWORD_FILE=/etc/sallyport/files/journal',
  );
  expect(stdout).toMatch(/\{name: files, secret: \{secretName: more/);
  expect(stdout).toMatch(/\{name: files, csi: .*secretProviderClass: those/);
  expect(stdout.match(/mountPath: \/etc\/sallyport\/files/g)).toHaveLength(2);
  const { stdout: bucket } = await render('security.packages.bucket=s3://b/p?endpoint=https://s3&region=eu');
  expect(bucket).toContain(
    'value: "s3://b/p?endpoint=https://s3&region=eu&credentials=/etc/sallyport/packages/credentials.json"',
  );
  expect(bucket).toMatch(/\{name: packages, secret: \{secretName: sallyport-packages, defaultMode: 0440/);
  expect(bucket).toContain('{name: packages, mountPath: /etc/sallyport/packages, readOnly: true}');
});

test('an autoscaler by channels asks for the metric that Proxies have and the example of an adapter serves', async () => {
  const file = join(ROOT, 'deploy/kubernetes/examples/prometheus-adapter.yaml');
  const [rule, ...others] = parse(readFileSync(file, 'utf8')).rules.custom;
  expect(others).toEqual([]);
  const source = readFileSync(join(ROOT, 'apps/proxy/src/device/channels.ts'), 'utf8');
  const [, metric] = /metrics\.gauge\('(\w+)', 'open channels'/.exec(source)!;
  expect(rule).toMatchObject({
    seriesQuery: `${metric}{namespace!="",pod!=""}`,
    resources: { overrides: { namespace: { resource: 'namespace' }, pod: { resource: 'pod' } } },
    name: { matches: `^${metric}$`, as: metric },
    metricsQuery: 'sum(<<.Series>>{<<.LabelMatchers>>}) by (<<.GroupBy>>)',
  });
  const [scaler] = objects['high-availability'].filter(({ kind }) => kind === 'HorizontalPodAutoscaler');
  expect(scaler.spec.metrics).toContainEqual({
    type: 'Pods',
    pods: { metric: { name: rule.name.as }, target: { type: 'AverageValue', averageValue: '5000' } },
  });
});

test('without an adapter, or a Prometheus that may read, the chart refuses to go by channels', async () => {
  if (!existsSync(HELM))
    return void process.stdout.write('skipped: no Helm to try it ("npm run kubernetes -- build")\n');
  const render = (...more: string[]) =>
    runCommand(HELM, [
      ...['template', 'farm', join(ROOT, 'deploy/kubernetes/chart'), '--kube-version', '1.34.4'],
      ...['--set', 'database.hosts=db:5432,proxy.autoscaling.enabled=true,proxy.autoscaling.channels=5', ...more],
    ]);
  const prometheus = ['--set', 'networkPolicy.prometheus[0].podSelector.matchLabels.app=prometheus'];
  const without = await render(...prometheus);
  expect([without.code, without.stderr]).toEqual([
    1,
    expect.stringContaining('examples/prometheus-adapter.yaml first'),
  ]);
  for (const version of ['v1beta1', 'v1beta2']) {
    const adapter = ['--api-versions', `custom.metrics.k8s.io/${version}`];
    expect((await render(...adapter)).stderr).toContain('name it in networkPolicy.prometheus');
    const { stdout, stderr } = await render(...adapter, ...prometheus);
    expect(stdout, stderr).toContain('metric: {name: sallyport_channels}');
  }
  const byCpu = await render('--set', 'proxy.autoscaling.channels=0');
  expect(byCpu.stdout, byCpu.stderr).toContain('HorizontalPodAutoscaler');
});

test('every setting that a pod is given is one that its server reads', async () => {
  const settings = async (app: string) => {
    const { SETTINGS } = await import(join(ROOT, 'apps', app, 'src/config.ts'));
    return Object.keys(SETTINGS).flatMap((name) => (SETTINGS[name].secret ? [name, `${name}_FILE`] : [name]));
  };
  const known = { security: await settings('security'), proxy: await settings('proxy') } as Record<string, string[]>;
  for (const pod of podsOf(all))
    for (const { name, env } of pod.containers)
      for (const one of env.map(({ name }: { name: string }) => name).filter((text: string) => text !== 'POD_NAME'))
        expect(known[name], `${name}: ${one}`).toContain(one);
});

test('settings that pods are given are secure, and none of them does nothing', async () => {
  for (const pod of podsOf(all))
    for (const { name, env } of pod.containers) {
      const { SETTINGS } = await import(join(ROOT, 'apps', name, 'src/config.ts'));
      const server: KnownServer = { name, settings: SETTINGS };
      // A value from elsewhere is there, and nobody knows it here.
      const given = env.map((one: Tree) => [one.name, one.value ?? 'from a Secret']);
      const texts = new Map<string, string>([
        ...Object.entries(ROLES.find((role) => role.name === name)!.settings),
        ...given,
      ]);
      const variables = [...texts].map(([setting, value]) => ({ name: setting, value }));
      expect(judgeEnvironment({ where: name, variables, place: 'pod' }, server)).toEqual([]);
    }
});

test('NetworkPolicies open the ports of the table to whom it names, and nothing else', () => {
  const policies = objects['high-availability'].filter(({ kind }) => kind === 'NetworkPolicy');
  const open = (part: string, way: string) =>
    policies
      .find(({ metadata }) => metadata.name === `farm-${part}`)
      .spec[way].flatMap((rule: Tree) => rule.ports.map(({ port }: Tree) => port));
  const { security, proxy, outside } = ports;
  expect(open('security', 'ingress')).toEqual([security.proxies.port, security.admin.port, security.metrics.port]);
  expect(open('security', 'egress')).toEqual([
    outside.dns.port,
    outside.dns.port,
    outside.database.port,
    outside.redis.port,
  ]);
  // Health is asked by the kubelet, which no policy stops; 443 is what the values say of backends.
  expect(open('proxy', 'ingress')).toEqual([proxy.devices.port, proxy.metrics.port]);
  expect(open('proxy', 'egress')).toEqual([outside.dns.port, outside.dns.port, security.proxies.port, 443]);
  for (const { spec } of policies) {
    expect(spec.policyTypes).toEqual(['Ingress', 'Egress']);
    // Operators and Prometheus: named by the values, or nobody.
    for (const rule of spec.ingress)
      if (![proxy.devices.port].includes(rule.ports[0].port)) expect(rule.from.length).toBeGreaterThan(0);
  }
  const quiet = objects['one-node'].find(
    ({ kind, metadata }) => kind === 'NetworkPolicy' && metadata.name === 'farm-security',
  );
  expect(JSON.stringify(quiet.spec.ingress)).not.toContain(String(security.metrics.port));
});

test('who is believed where devices are is named: nobody but gateways reaches Proxies that trust X-Forwarded-For', () => {
  const trusting = FARMS.filter((farm) =>
    /SALLYPORT_TRUSTED_HOPS, value: "[1-9]"/.test(readFileSync(renderedFile(farm), 'utf8')),
  );
  expect(trusting.length).toBeGreaterThan(0);
  for (const farm of trusting) {
    const { spec } = objects[farm].find(
      ({ kind, metadata }) => kind === 'NetworkPolicy' && metadata.name === 'farm-proxy',
    );
    const rule = spec.ingress.find(({ ports: [{ port }] }: Tree) => port === ports.proxy.devices.port);
    expect(rule.from?.length, farm).toBeGreaterThan(0);
  }
});

test('ports of the table are those that images expose', () => {
  for (const role of ROLES.filter(({ ports: exposed }) => exposed.length > 0)) {
    const listed = Object.values(ports[role.name] as Record<string, { port: number }>).map(({ port }) => port);
    for (const port of role.ports) expect(listed, role.name).toContain(port);
  }
});

test('alerts ask for metrics that the servers have', () => {
  const rules = all.filter(({ kind }) => kind === 'PrometheusRule');
  const asked = new Set([...JSON.stringify(rules).matchAll(/sallyport_\w+/g)].map(([name]) => name));
  const sources = [
    'apps/security/src/backup/schedule.ts',
    'apps/security/src/main.ts',
    'apps/security/src/listeners.ts',
    'apps/security/src/upkeep/update-watch.ts',
    'apps/proxy/src/main.ts',
  ];
  expect(asked.size).toBeGreaterThan(3);
  const text = [...sources, ...metricSources()].map((file) => readFileSync(join(ROOT, file), 'utf8')).join();
  for (const name of asked) expect(text, name).toContain(name);
});

function metricSources(): string[] {
  return ['apps/proxy/src/serving/serving.ts', 'apps/proxy/src/public-certificate.ts'];
}
