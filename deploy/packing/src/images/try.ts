import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { sallyport, waitFor } from '@sallyport/support';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { parseAllDocuments, stringify } from 'yaml';
import { renderedFile } from '../kubernetes/chart.ts';
import { AUTHORITY, TrialOperator } from '../trial/operator.ts';
import { listensAt, Stores } from '../trial/stores.ts';
import { Podman } from './podman.ts';
import { podsOf } from './pods.ts';
import { USER_ID } from './system.ts';

const HERE = '127.0.0.1';
const PORTS = { devices: 8_440, health: 8_441, security: 8_443, admin: 8_444, backend: 8_080 };
const NAMES = [
  ...['postgresql.database.svc', 'farm-security.sallyport.svc', 'farm-security'],
  'farm-security-0.farm-nodes.sallyport.svc.cluster.local',
];
/** A machine that has much else to do takes minutes to start a container, ms. */
const PATIENCE_MS = 300_000;
const PAGE = 'a page of the intranet\n';
const SECURITY = 'farm-security-0-security';
const PROXY = 'farm-proxy-0-proxy';

/** Where a trial finds the images, and what it tells. */
export interface Trial {
  /** Folder with an archive of each image. */
  readonly images: string;
  readonly say: (text: string) => void;
}

/**
 * Brings up the farm of `rendered/one-node.yaml` by `podman kube play`, on a network that is this process's own, and lets a device
 * read a page through it. @throws Error when something does not come up, with what its log says
 */
export async function tryFarm({ images, say }: Trial): Promise<void> {
  const folder = mkdtempSync('/var/tmp/sallyport-farm-');
  chmodSync(folder, 0o755);
  const podman = new Podman(join(folder, 'podman'));
  const began = performance.now();
  const told = (text: string): void =>
    say(`${((performance.now() - began) / 1_000).toFixed(0).padStart(4)} s  ${text}`);
  let stores: Stores | undefined;
  try {
    for (const name of ['security', 'proxy']) podman.run('load', '--quiet', '--input', join(images, `${name}.tar`));
    told('the images are loaded');
    stores = await Stores.start({ folder: join(folder, 'stores'), address: HERE, names: ['postgresql.database.svc'] });
    told('a PostgreSQL of its own is up');
    const given = join(folder, 'given');
    await giveSecrets(given, stores);
    nameServices(folder);
    const pods = podsOf(farmObjects(), given);
    await playSecurity(podman, folder, pods);
    told('Security is up');
    await playProxy(podman, folder, pods);
    told('the Proxy has joined by the token of its service account, and is ready');
    await readPage(podman);
    told('a device has enrolled, signed in and read a page');
    say(podman.told(SECURITY, '/usr/bin/sallyport', 'doctor', '--from', 'security'));
    told('the doctor has looked');
    for (const container of [SECURITY, PROXY]) told(confinementOf(podman, container));
  } catch (error) {
    for (const container of [SECURITY, PROXY]) say(podman.lastWords(container));
    throw error;
  } finally {
    podman.run('pod', 'rm', '--all', '--force', '--time', '5');
    await stores?.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

function farmObjects() {
  const documents = parseAllDocuments(readFileSync(renderedFile('one-node'), 'utf8'), { version: '1.1' });
  return documents.map((document) => document.toJS()).filter((object) => object !== null);
}

/** In the mounts of this process every name of the farm is this machine; podman gives that to containers. */
function nameServices(folder: string): void {
  const file = join(folder, 'hosts');
  writeFileSync(file, `${HERE} localhost ${NAMES.join(' ')}\n`);
  execFileSync('mount', ['--bind', file, '/etc/hosts']);
}

/** Writes what the namespace of a cluster would hold, as `docs/kubernetes.md` says: the key, the database's CA, the cluster's keys and a token. */
async function giveSecrets(folder: string, { ca, password }: Stores): Promise<void> {
  const write = (name: string, file: string, text: string): void => {
    mkdirSync(join(folder, name), { recursive: true, mode: 0o755 });
    writeFileSync(join(folder, name, file), text, { mode: 0o444 });
  };
  const kek = join(folder, '..', 'kek.json');
  const made = await sallyport(['kek', 'new', kek]);
  if (made.code !== 0) throw new Error(made.stderr);
  write('sallyport-kek', 'kek.json', readFileSync(kek, 'utf8'));
  write('sallyport-database', 'ca.crt', ca);
  write('sallyport-database', 'password', password);
  const { keys, token } = await clusterToken();
  write('sallyport-cluster-keys', 'jwks.json', keys);
  write('account', 'token', token);
  mkdirSync(join(folder, 'sallyport-ca'));
}

/** What a cluster signs for the pod of the Proxy, and by which key. */
async function clusterToken(): Promise<{ keys: string; token: string }> {
  const { publicKey, privateKey } = await generateKeyPair('RS256');
  const keys = JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), kid: 'one', alg: 'RS256' }] });
  const [namespace, account] = ['sallyport', 'farm-proxy'];
  const bound = {
    namespace,
    serviceaccount: { name: account, uid: randomUUID() },
    pod: { name: 'farm-proxy-0', uid: randomUUID() },
  };
  const token = await new SignJWT({ 'kubernetes.io': bound })
    .setProtectedHeader({ alg: 'RS256', kid: 'one' })
    .setIssuer('https://kubernetes.default.svc.cluster.local')
    .setAudience('sallyport')
    .setSubject(`system:serviceaccount:${namespace}:${account}`)
    .setIssuedAt()
    .setNotBefore('0s')
    .setExpirationTime('10m')
    .sign(privateKey);
  return { keys, token };
}

type Objects = ReturnType<typeof podsOf>;

function play(podman: Podman, folder: string, objects: Objects): void {
  const file = join(folder, `${objects.at(-1).metadata.name}.yaml`);
  writeFileSync(file, objects.map((object) => stringify(object)).join('---\n'));
  podman.run('kube', 'play', '--network', 'host', file);
}

async function playSecurity(podman: Podman, folder: string, pods: Objects): Promise<void> {
  play(
    podman,
    folder,
    pods.filter(({ metadata }) => metadata.name.includes('security')),
  );
  await waitFor(
    () => isReady(`https://${HERE}:${PORTS.security}/readyz`, podman),
    'Security',
    () => podman.lastWords(SECURITY),
    PATIENCE_MS,
  );
  const script = 'fs.readFileSync("/var/lib/sallyport/security/ca.pem","utf8")';
  writeFileSync(join(folder, 'given', 'sallyport-ca', 'ca.pem'), podman.exec(SECURITY, '/usr/bin/node', '-p', script));
}

async function playProxy(podman: Podman, folder: string, pods: Objects): Promise<void> {
  play(
    podman,
    folder,
    pods.filter(({ metadata }) => metadata.name.includes('proxy')),
  );
  await waitFor(
    () => isReady(`http://${HERE}:${PORTS.health}/readyz`, podman),
    'the Proxy',
    () => podman.lastWords(PROXY),
    PATIENCE_MS,
  );
}

/** Asks as a probe does: without a look at the certificate. */
async function isReady(url: string, podman: Podman): Promise<boolean> {
  const { protocol, port } = new URL(url);
  if (!(await listensAt(HERE, Number(port)))) return false;
  if (protocol === 'http:') return (await fetch(url)).status === 200;
  try {
    podman.exec(SECURITY, '/usr/bin/node', '/opt/sallyport/health.mjs', url);
    return true;
  } catch {
    return false;
  }
}

async function readPage(podman: Podman): Promise<void> {
  const backend = createServer((_request, response) => response.end(PAGE));
  await new Promise<void>((resolve) => backend.listen(PORTS.backend, HERE, resolve));
  const script = 'fs.readFileSync("/var/lib/sallyport/security/ca.pem","utf8")';
  const ca = podman.exec(SECURITY, '/usr/bin/node', '-p', script);
  const [, token = ''] =
    /^(\S{20,})$/m.exec(
      podman.exec(
        SECURITY,
        '/usr/bin/sallyport',
        'operator',
        'break-glass',
        '--name',
        'olga',
        '--reason',
        'first operator',
      ),
    ) ?? [];
  const operator = await TrialOperator.login({ urls: [`https://${HERE}:${PORTS.admin}`], ca }, token);
  try {
    const origins = [`ws://${HERE}:${PORTS.devices}`];
    const url = `http://${HERE}:${PORTS.backend}`;
    await operator.setUp({ site: 'main', origins, backend: { url, networks: ['127.0.0.0/8'] } });
    const device = await operator.device('ada');
    const answer = await device.fetch(`http://${AUTHORITY}/`);
    const text = await answer.text();
    device.close();
    if (answer.status !== 200 || text !== PAGE) throw new Error(`the page was ${answer.status}: ${text}`);
  } finally {
    await operator.close();
    backend.closeAllConnections();
    backend.close();
  }
}

/** Looks from inside at what a container may do. @throws Error when it may do more than it should */
function confinementOf(podman: Podman, container: string): string {
  const script = `const status = fs.readFileSync('/proc/self/status', 'utf8');
    let written = true;
    try { fs.writeFileSync('/opt/sallyport/x', '') } catch ({ code }) { written = code }
    JSON.stringify({ uid: process.getuid(), capabilities: /CapBnd:\\s*(\\w+)/.exec(status)[1], written })`;
  const found = JSON.parse(podman.exec(container, '/usr/bin/node', '-p', script));
  if (found.uid !== USER_ID || Number.parseInt(found.capabilities, 16) !== 0 || found.written !== 'EROFS')
    throw new Error(`${container} may do too much: ${JSON.stringify(found)}`);
  return `${container}: user ${found.uid}, no capabilities, a root that cannot be written`;
}
