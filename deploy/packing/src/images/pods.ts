import type { parse } from 'yaml';

/** Whatever YAML has. */
type Tree = ReturnType<typeof parse>;

/** What `podman kube play` has no word for; probes by HTTP would want a program in the image that asks, and ports a network of its own. */
const OF_CLUSTERS = [
  'topologySpreadConstraints',
  'serviceAccountName',
  'automountServiceAccountToken',
  'imagePullSecrets',
];
const OF_CLUSTERS_IN_CONTAINERS = ['startupProbe', 'readinessProbe', 'livenessProbe', 'lifecycle', 'ports'];

/**
 * The pods of manifests as `podman kube play` takes them (Podman 4.3): one pod each of StatefulSets and Deployments, with the same
 * containers, settings and mounts. Podman knows no StatefulSet, Service or service account, and of volumes only folders, claims and
 * empty ones: secrets and tokens become folders in `given`, called as they are, and names of Services are
 * a matter of `/etc/hosts`.
 */
export function podsOf(objects: readonly Tree[], given: string): Tree[] {
  return objects
    .filter(({ kind }) => kind === 'StatefulSet' || kind === 'Deployment')
    .flatMap((object) => [...claimsOf(object), podOf(object, given)]);
}

function claimsOf({ spec, metadata }: Tree): Tree[] {
  return (spec.volumeClaimTemplates ?? []).map((claim: Tree) => ({
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { name: claimName(metadata.name, claim.metadata.name) },
    spec: claim.spec,
  }));
}

/** As a StatefulSet names the claim of its first pod. */
function claimName(set: string, claim: string): string {
  return `${claim}-${set}-0`;
}

function podOf({ spec, metadata }: Tree, given: string): Tree {
  const name = `${metadata.name}-0`;
  const claims = (spec.volumeClaimTemplates ?? []).map(({ metadata: { name: claim } }: Tree) => ({
    name: claim,
    persistentVolumeClaim: { claimName: claimName(metadata.name, claim) },
  }));
  const template = without(spec.template.spec, OF_CLUSTERS);
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels: spec.template.metadata.labels },
    spec: {
      ...template,
      containers: template.containers.map((container: Tree) => containerOf(container, name)),
      volumes: [...claims, ...template.volumes.map((volume: Tree) => volumeOf(volume, given))],
    },
  };
}

function containerOf(container: Tree, pod: string): Tree {
  // A cluster puts the name of the pod into settings that want it.
  const settingOf = ({ value }: Tree): string => value?.replaceAll('$(POD_NAME)', pod) ?? pod;
  return {
    ...without(container, OF_CLUSTERS_IN_CONTAINERS),
    imagePullPolicy: 'Never',
    env: container.env.map((setting: Tree) => ({ name: setting.name, value: settingOf(setting) })),
  };
}

function volumeOf(volume: Tree, given: string): Tree {
  const name = volume.secret?.secretName ?? volume.configMap?.name ?? (volume.projected && volume.name);
  if (name === undefined) return { name: volume.name, emptyDir: {} };
  return { name: volume.name, hostPath: { path: `${given}/${name}`, type: 'Directory' } };
}

function without(object: Tree, names: readonly string[]): Tree {
  return Object.fromEntries(Object.entries(object).filter(([name]) => !names.includes(name)));
}
