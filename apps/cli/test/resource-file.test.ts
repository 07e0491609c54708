import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { ResourceView } from '@sallyport/security-api';
import { afterAll, expect, test } from 'vitest';
import { formatResources, parseResources } from '../src/resources/file.ts';
import { overlapsOf } from '../src/resources/overlaps.ts';
import { parseServers } from '../src/resources/servers.ts';

const folder = mkdtempSync('/tmp/sallyport-file-');
afterAll(() => rmSync(folder, { recursive: true, force: true }));
writeFileSync(`${folder}/wiki.password`, 'geheim\n');
writeFileSync(`${folder}/ca.pem`, 'PEM\n');

const FILE = `
resources:
  wiki:
    authority: wiki.corp
    title: Company wiki
    backend:
      url: https://10.1.2.3
      servers:
        - url: https://10.1.2.4
          weight: 2
      networks: [10.1.0.0/16]
      ca: {file: ca.pem}
      basic: {user: gate, password: {file: wiki.password}}
  db:
    authority: db.corp:5432
    backend: {url: "tcp://db:5432"}
`;

test('a file of resources is read with the files that it names', () => {
  expect(parseResources(FILE, folder)).toEqual([
    {
      name: 'wiki',
      kind: 'http',
      authority: 'wiki.corp',
      title: 'Company wiki',
      backend: {
        url: 'https://10.1.2.3',
        servers: [{ url: 'https://10.1.2.4', weight: 2 }],
        networks: ['10.1.0.0/16'],
        ca: 'PEM\n',
        basic: { user: 'gate', password: 'geheim' },
      },
    },
    { name: 'db', kind: 'tcp', authority: 'db.corp:5432', backend: { url: 'tcp://db:5432', networks: [] } },
  ]);
});

test.each([
  ['resources: [', 'neither YAML nor JSON'],
  ['a: 1', 'no resources'],
  ['resources: {a: {}}', 'a: there is no backend'],
  ['resources: {a: {backend: {url: x}}, a: {backend: {url: y}}}', 'unique'],
  ['resources: {a: {backend: {url: x, basic: {user: u, password: p}}}}', 'password does not stand in this file'],
  ['resources: {a: {backend: {url: x, clientCertificate: {certificate: c, key: k}}}}', 'key does not stand'],
])('%s is refused with its reason, and no secret stands in it', (text, words) => {
  expect(() => parseResources(text, folder)).toThrow(words);
});

test('what was exported reads as what it was, without secrets', () => {
  const views: ResourceView[] = [
    {
      name: 'wiki',
      title: 'Wiki: "new"',
      kind: 'http',
      authority: '*.corp',
      sites: ['b', 'a,c'],
      region: 'eu',
      backend: { url: 'https://*.internal', networks: ['fd00::/8'], ca: '-----BEGIN\nx\n', host: '[::1]:80' },
    },
    {
      name: 'news',
      title: 'news',
      kind: 'http',
      authority: 'no',
      sites: null,
      region: null,
      backend: { url: 'http://x', networks: [], basic: { user: 'gate' } },
    },
  ];
  const text = formatResources(views);
  expect(text).toMatch(/^# sallyport resource apply/);
  const [wiki, news] = parseResources(text, folder);
  expect(wiki).toEqual(views[0]);
  expect(news).toEqual({ name: 'news', kind: 'http', authority: 'no', sites: null, backend: views[1]!.backend });
});

test('servers are written with their settings; a change says of each whether it is still so', () => {
  const texts = ['http://a', 'http://b,weight=3', 'http://c,standby'];
  const servers = [
    { url: 'http://b', weight: 3 },
    { url: 'http://c', standby: true },
  ];
  expect(parseServers(texts, false)).toEqual({ url: 'http://a', servers });
  expect(parseServers(['http://a,weight=2'], true)).toEqual({ url: 'http://a', weight: 2, servers: null });
  expect(parseServers([], true)).toEqual({});
  for (const text of ['http://a,weight=0', 'http://a,weight=x', 'http://a,heavy', 'http://a,standby'])
    expect(() => parseServers([text], false)).toThrow();
});

test('it is said whose a name is that lies under two resources', () => {
  const all = [
    { name: 'all', kind: 'http', authority: '*.corp' },
    { name: 'hr', kind: 'http', authority: 'hr.corp' },
    { name: 'db', kind: 'tcp', authority: 'db.corp' },
    { name: 'out', kind: 'http', authority: 'out.example' },
  ] as const;
  expect(overlapsOf(all)).toEqual([expect.stringContaining('hr.corp is for hr alone: all (*.corp)')]);
  expect(overlapsOf(all, 'hr')).toHaveLength(1);
  expect(overlapsOf(all, 'out')).toEqual([]);
});
