import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Closure, closureOf } from '../lock.ts';
import { noticeOf } from '../notice/notice.ts';
import { copyPayload } from '../payload.ts';
import { provenanceOf } from '../provenance.ts';
import { DATA, ROLES, type Role } from '../roles.ts';
import { billOfMaterials } from '../sbom.ts';
import { ROOT, readSource, type Source } from '../source.ts';
import { type Layer, packLayer, sha256 } from './layer.ts';
import { type Descriptor, ImageLayout } from './oci.ts';
import { type DebianPackage, makeSystem, USER_ID } from './system.ts';

/** Where an image has the program and its sources. */
const PLACE = 'opt/sallyport';

/** What was built for a role. */
export interface BuiltImage {
  readonly role: Role;
  readonly reference: string;
  /** Digest of its manifest. */
  readonly digest: string;
  /** Size of its layers as they are stored, bytes. */
  readonly size: number;
}

/** What all images have in common: the system, and Node. */
interface Ground {
  readonly source: Source;
  readonly debian: readonly DebianPackage[];
  readonly node: { readonly version: string; readonly hash: string };
  readonly layers: readonly Layer[];
}

/** Builds all images into a folder: `oci` is a layout with everything, and for each role there are an archive, its bill of materials and its provenance. */
export function buildImages(into: string, say: (text: string) => void): BuiltImage[] {
  rmSync(into, { recursive: true, force: true });
  const source = readSource();
  say('the system and Node …');
  const ground = buildGround(source);
  const layout = new ImageLayout(join(into, 'oci'));
  const built = ROLES.map((role) => {
    say(`${role.name} …`);
    return buildRole(into, role, ground, layout);
  });
  layout.close();
  return built;
}

/** Whether what lies in a folder was built from the commit that lies here. */
export function areBuilt(into: string): boolean {
  const provenance = join(into, 'proxy.provenance.json');
  if (!existsSync(provenance)) return false;
  const { revision } = readSource();
  return !revision.endsWith('-changed') && readFileSync(provenance, 'utf8').includes(`"gitCommit": "${revision}"`);
}

function inScratch<T>(work: (folder: string) => T): T {
  const folder = mkdtempSync('/var/tmp/sallyport-image-');
  try {
    return work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function buildGround(source: Source): Ground {
  const { seconds } = source;
  const system = inScratch((folder) => {
    const debian = makeSystem(folder);
    mkdirSync(join(folder, DATA), { recursive: true });
    mkdirSync(join(folder, 'tmp'));
    return { debian, layer: packLayer(folder, seconds, [DATA.slice(1), 'tmp']) };
  });
  const program = realpathSync(join(ROOT, 'node_modules/node/bin/node'));
  const node = inScratch((folder) => {
    mkdirSync(join(folder, 'usr/bin'), { recursive: true });
    cpSync(program, join(folder, 'usr/bin/node'));
    return packLayer(folder, seconds);
  });
  const { version } = JSON.parse(readFileSync(join(ROOT, 'node_modules/node/package.json'), 'utf8')) as {
    version: string;
  };
  const hash = sha256(readFileSync(program));
  return { source, debian: system.debian, node: { version, hash }, layers: [system.layer, node] };
}

function buildRole(into: string, role: Role, ground: Ground, all: ImageLayout): BuiltImage {
  const { source, debian, node } = ground;
  const closure = closureOf(ROOT, role.apps);
  const layers = [...ground.layers, inScratch((folder) => appLayer(folder, role, closure, source))];
  const reference = `localhost/sallyport/${role.name}:${source.version}`;
  const config = configOf(role, source);
  const bill = billOfMaterials({ role, version: source.version, seconds: source.seconds, ...closure, debian, node });
  const describe = (layout: ImageLayout): Descriptor => layout.addImage(reference, config, layers);
  const image = describe(all);
  const digest = image.digest.slice('sha256:'.length);
  const provenance = provenanceOf(ROOT, source, { name: reference, digest }, debian);
  all.attach(image, 'application/vnd.cyclonedx+json', bill);
  all.attach(image, 'application/vnd.in-toto+json', provenance);
  writeFileSync(join(into, `${role.name}.cdx.json`), bill);
  writeFileSync(join(into, `${role.name}.provenance.json`), provenance);
  writeArchive(join(into, role.name), describe);
  return { role, reference, digest: image.digest, size: layers.reduce((sum, { bytes }) => sum + bytes.length, 0) };
}

/** A file with one image, as `podman load`, `ctr images import` and `skopeo` take it. */
function writeArchive(place: string, describe: (layout: ImageLayout) => unknown): void {
  inScratch((folder) => {
    const layout = new ImageLayout(folder);
    describe(layout);
    layout.close();
    execFileSync('tar', ['--create', `--file=${place}.tar`, '--sort=name', '-C', folder, '.']);
  });
}

function appLayer(folder: string, role: Role, closure: Closure, { seconds }: Source): Layer {
  const place = join(folder, PLACE);
  copyPayload(ROOT, closure, place);
  cpSync(join(ROOT, 'LICENSE'), join(place, 'LICENSE'));
  writeFileSync(join(place, 'NOTICE'), noticeOf(role.apps));
  if (role.apps.includes('apps/cli')) writeCommand(folder);
  if (role.health !== undefined)
    cpSync(join(dirname(new URL(import.meta.url).pathname), 'health.mjs'), join(place, 'health.mjs'));
  return packLayer(folder, seconds);
}

/** `sallyport`, without a shell: the kernel starts Node. */
function writeCommand(folder: string): void {
  const file = join(folder, 'usr/bin/sallyport');
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `#!/usr/bin/node\nimport('/${PLACE}/apps/cli/src/main.ts');\n`, { mode: 0o755 });
}

function configOf(role: Role, { version, revision, seconds }: Source) {
  const created = new Date(seconds * 1_000).toISOString().replace('.000Z', 'Z');
  const label = (name: string, text: string): [string, string] => [`org.opencontainers.image.${name}`, text];
  return {
    created,
    architecture: process.arch === 'x64' ? 'amd64' : process.arch,
    config: {
      User: `${USER_ID}:${USER_ID}`,
      WorkingDir: DATA,
      Env: Object.entries({ PATH: '/usr/bin', NODE_ENV: 'production', HOME: DATA, ...role.settings }).map(
        ([name, value]) => `${name}=${value}`,
      ),
      Entrypoint: ['/usr/bin/node', ...role.nodeOptions, `/${PLACE}/${role.apps[0]}/src/main.ts`],
      ...(role.ports.length > 0
        ? { ExposedPorts: Object.fromEntries(role.ports.map((port) => [`${port}/tcp`, {}])) }
        : {}),
      Volumes: { [DATA]: {} },
      StopSignal: 'SIGTERM',
      ...(role.health === undefined ? {} : { Healthcheck: healthcheckOf(role.health) }),
      Labels: Object.fromEntries([
        label('title', role.title),
        label('description', role.description),
        label('version', version),
        label('revision', revision),
        label('created', created),
        label('licenses', 'Apache-2.0'),
        label('base.name', 'scratch'),
      ]),
    },
    history: ['libraries of Debian', 'Node', role.title],
  };
}

const SECOND_NS = 1_000_000_000;

/** docker asks by it; podman takes the same question as `--health-cmd`, Kubernetes has probes. */
function healthcheckOf(url: string) {
  const Test = ['CMD', '/usr/bin/node', `/${PLACE}/health.mjs`, url];
  return { Test, Interval: 10 * SECOND_NS, Timeout: 5 * SECOND_NS, StartPeriod: 60 * SECOND_NS, Retries: 3 };
}
