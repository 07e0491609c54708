import { createHash } from 'node:crypto';
import type { DebianPackage } from './images/system.ts';
import type { Package } from './lock.ts';
import type { Role } from './roles.ts';

/** What a bill of materials is made from. */
export interface Materials {
  readonly role: Role;
  readonly version: string;
  /** Epoch s of the commit: no other time is in it, so that it is the same again. */
  readonly seconds: number;
  /** Folders of our own projects. */
  readonly projects: readonly string[];
  readonly packages: readonly Package[];
  readonly debian: readonly DebianPackage[];
  /** Node, which comes as a package of npm, with the SHA-256 of its program, hex. */
  readonly node: { readonly version: string; readonly hash: string };
}

/** The bill of materials of a role, in CycloneDX 1.6 (JSON). */
export function billOfMaterials({ role, version, seconds, projects, packages, debian, node }: Materials): string {
  const main = {
    type: 'application',
    'bom-ref': `sallyport-${role.name}`,
    name: `sallyport-${role.name}`,
    version,
    description: role.description,
    licenses: [{ license: { id: 'Apache-2.0' } }],
  };
  const components = [
    ...projects.map((folder) => ourComponent(folder, version)),
    ...packages.map(npmComponent),
    ...debian.map(debianComponent),
    nodeComponent(node),
  ];
  const refs = components.map((component) => component['bom-ref']);
  const bill = {
    $schema: 'http://cyclonedx.org/schema/bom-1.6.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    serialNumber: `urn:uuid:${uuidOf(JSON.stringify([role.name, version, seconds, components]))}`,
    version: 1,
    metadata: { timestamp: new Date(seconds * 1_000).toISOString(), component: main },
    components,
    dependencies: [{ ref: main['bom-ref'], dependsOn: [...new Set(refs)] }],
  };
  return `${JSON.stringify(bill, null, 2)}\n`;
}

function ourComponent(folder: string, version: string) {
  const name = `@sallyport/${folder.split('/').pop()}`;
  return { type: 'library', 'bom-ref': name, name, version, licenses: [{ license: { id: 'Apache-2.0' } }] };
}

function npmComponent({ name, version, folder, integrity, license }: Package) {
  const purl = `pkg:npm/${name.replace('@', '%40')}@${version}`;
  const [, algorithm = '', encoded = ''] = /^(sha\d+)-(.+)$/.exec(integrity.split(' ')[0]!) ?? [];
  const content = Buffer.from(encoded, 'base64').toString('hex');
  return {
    type: 'library',
    'bom-ref': `${purl}#${folder}`,
    name,
    version,
    purl,
    hashes: [{ alg: `SHA-${algorithm.slice(3)}`, content }],
    ...(license === undefined ? {} : { licenses: [{ expression: license }] }),
  };
}

function debianComponent({ name, version, architecture }: DebianPackage) {
  const purl = `pkg:deb/debian/${name}@${encodeURIComponent(version)}?arch=${architecture}&distro=bookworm`;
  return { type: 'library', 'bom-ref': purl, name, version, purl };
}

function nodeComponent({ version, hash }: Materials['node']) {
  const purl = `pkg:npm/node@${version}`;
  return {
    type: 'platform',
    'bom-ref': purl,
    name: 'node',
    version,
    purl,
    hashes: [{ alg: 'SHA-256', content: hash }],
  };
}

/** A UUID by name: the same content has the same one (RFC 9562, version 8). */
function uuidOf(content: string): string {
  const hash = createHash('sha256').update(content).digest('hex');
  const variant = ((Number.parseInt(hash[16]!, 16) & 3) | 8).toString(16);
  return [
    hash.slice(0, 8),
    hash.slice(8, 12),
    `8${hash.slice(13, 16)}`,
    `${variant}${hash.slice(17, 20)}`,
    hash.slice(20, 32),
  ].join('-');
}
