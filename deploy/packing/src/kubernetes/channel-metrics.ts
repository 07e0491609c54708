import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { waitFor } from '@sallyport/support';
import { parse, stringify } from 'yaml';
import { ROOT } from '../source.ts';
import { NAMESPACE, type TrialCluster } from './cluster.ts';

/** Where Prometheus and its adapter run, as the values of the farm name it. */
const MONITORING = 'monitoring';
const IMAGE = 'localhost/monitoring:trial';
/** What the adapter is set up by: what operators are given. */
const EXAMPLE = join(ROOT, 'deploy/kubernetes/examples/prometheus-adapter.yaml');
const METRICS_PATH = `/apis/custom.metrics.k8s.io/v1beta1/namespaces/${NAMESPACE}/pods/*/sallyport_channels`;
const SERVED_WITHIN_MS = 300_000;
const PORTS = { prometheus: 9_090, adapter: 6_443 };

/** Prometheus finds pods of the farm as a ServiceMonitor lets it: by their port for metrics, with the names of pod and namespace. */
const SCRAPE = {
  global: { scrape_interval: '5s' },
  scrape_configs: [
    {
      job_name: 'sallyport',
      kubernetes_sd_configs: [{ role: 'pod', namespaces: { names: [NAMESPACE] } }],
      relabel_configs: [
        { source_labels: ['__meta_kubernetes_pod_container_port_name'], regex: 'metrics', action: 'keep' },
        { source_labels: ['__meta_kubernetes_namespace'], target_label: 'namespace' },
        { source_labels: ['__meta_kubernetes_pod_name'], target_label: 'pod' },
      ],
    },
  ],
};

/** Brings Prometheus and prometheus-adapter into a cluster, with the rules of the example, and waits until it serves channels of every Proxy. */
export async function serveChannelMetrics(cluster: TrialCluster): Promise<void> {
  await cluster.importPrograms(IMAGE, ['prometheus', 'prometheus-adapter']);
  const { rules } = parse(readFileSync(EXAMPLE, 'utf8')) as { rules: { custom: unknown } };
  const files = { 'prometheus.yaml': stringify(SCRAPE), 'adapter.yaml': stringify({ rules: rules.custom }) };
  await cluster.apply(
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: MONITORING } },
    { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'files', namespace: MONITORING }, data: files },
    allowed('monitoring', { kind: 'ServiceAccount', name: 'default', namespace: MONITORING }),
    program('prometheus', PORTS.prometheus, [
      ...['--config.file=/files/prometheus.yaml', '--storage.tsdb.path=/scratch/data'],
      `--web.listen-address=:${PORTS.prometheus}`,
    ]),
    program('prometheus-adapter', PORTS.adapter, [
      `--prometheus-url=http://prometheus.${MONITORING}.svc.cluster.local:${PORTS.prometheus}`,
      ...['--config=/files/adapter.yaml', '--metrics-relist-interval=15s'],
      ...['--cert-dir=/scratch', `--secure-port=${PORTS.adapter}`],
    ]),
    ...['prometheus', 'prometheus-adapter'].map(service),
    {
      ...{ apiVersion: 'apiregistration.k8s.io/v1', kind: 'APIService' },
      metadata: { name: 'v1beta1.custom.metrics.k8s.io' },
      spec: {
        ...{ group: 'custom.metrics.k8s.io', version: 'v1beta1', groupPriorityMinimum: 100, versionPriority: 100 },
        ...{ insecureSkipTLSVerify: true, service: { name: 'prometheus-adapter', namespace: MONITORING } },
      },
    },
  );
  let seen = '';
  const isServed = async (): Promise<boolean> => {
    const proxies = (await cluster.pods('proxy')).map(({ name }) => name);
    seen = await cluster.kubectl('get', '--raw', METRICS_PATH).catch((error: Error) => error.message);
    return proxies.every((name) => seen.includes(`"name":"${name}"`));
  };
  await waitFor(isServed, 'the channels of each Proxy as a metric of its pod', () => seen, SERVED_WITHIN_MS);
}

/** In this cluster, which ends with its trial, they may do anything. */
function allowed(name: string, subject: object): object {
  return {
    ...{ apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRoleBinding', metadata: { name } },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' },
    subjects: [subject],
  };
}

function program(name: string, port: number, args: readonly string[]): object {
  return {
    ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace: MONITORING, labels: { app: name } } },
    spec: {
      containers: [
        {
          ...{ name, image: IMAGE, imagePullPolicy: 'Never', command: [`/${name}`], args },
          ports: [{ name: 'main', containerPort: port }],
          volumeMounts: [
            { name: 'files', mountPath: '/files' },
            { name: 'scratch', mountPath: '/scratch' },
          ],
        },
      ],
      volumes: [
        { name: 'files', configMap: { name: 'files' } },
        { name: 'scratch', emptyDir: {} },
      ],
    },
  };
}

/** Prometheus by its own port, the adapter by that of HTTPS, as the API server asks for it. */
function service(name: string): object {
  const port = name === 'prometheus' ? PORTS.prometheus : 443;
  return {
    ...{ apiVersion: 'v1', kind: 'Service', metadata: { name, namespace: MONITORING } },
    spec: { selector: { app: name }, ports: [{ port, targetPort: 'main' }] },
  };
}
