import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { podsOf } from '../src/images/pods.ts';
import { renderedFile } from '../src/kubernetes/chart.ts';
import { isOpenTo } from '../src/kubernetes/policies.ts';

const objects = parseAllDocuments(readFileSync(renderedFile('one-node'), 'utf8'), { version: '1.1' })
  .map((document) => document.toJS())
  .filter((object) => object !== null);
const pods = podsOf(objects, '/given');
const podOf = (name: string) => pods.find(({ kind, metadata }) => kind === 'Pod' && metadata.name === name)!.spec;

test('podman is given the containers of the manifests as they are, by the kinds and volumes that it knows', () => {
  expect(pods.map(({ kind, metadata }) => `${kind} ${metadata.name}`).sort()).toEqual([
    'PersistentVolumeClaim data-farm-security-0',
    'Pod farm-proxy-0',
    'Pod farm-security-0',
  ]);
  for (const name of ['farm-proxy-0', 'farm-security-0']) {
    const isIts = ({ kind, metadata }: { kind: string; metadata: { name: string } }) =>
      ['StatefulSet', 'Deployment'].includes(kind) && metadata.name === name.slice(0, -'-0'.length);
    const { spec } = objects.find(isIts);
    const [container, manifest] = [podOf(name).containers[0], spec.template.spec.containers[0]];
    for (const same of ['image', 'securityContext', 'resources', 'volumeMounts'])
      expect(container[same]).toEqual(manifest[same]);
    expect(container.env.map(({ name: setting }: { name: string }) => setting)).toEqual(
      manifest.env.map(({ name: setting }: { name: string }) => setting),
    );
    for (const { value } of container.env) expect(value).not.toContain('$(');
    for (const volume of podOf(name).volumes)
      expect(['hostPath', 'emptyDir', 'persistentVolumeClaim'], JSON.stringify(volume)).toContain(
        Object.keys(volume).find((key) => key !== 'name'),
      );
  }
  const { volumes } = podOf('farm-proxy-0');
  expect(volumes).toContainEqual({ name: 'account', hostPath: { path: '/given/account', type: 'Directory' } });
  expect(volumes).toContainEqual({ name: 'ca', hostPath: { path: '/given/sallyport-ca', type: 'Directory' } });
});

test('a port of the table is open to whom it names, and to pods of the farm only where they may go', () => {
  const open = (from: string) =>
    ['security', 'proxy', 'operators', 'prometheus', 'stranger'].filter((role) => isOpenTo(role, { port: 1, from }));
  expect(open('proxy')).toEqual(['proxy']);
  expect(open('operators')).toEqual(['operators']);
  expect(open('devices')).toEqual(['operators', 'prometheus', 'stranger']);
  expect(open('both')).toEqual(['security', 'proxy']);
  expect(open('kubelet')).toEqual([]);
});
