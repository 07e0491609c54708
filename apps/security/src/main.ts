import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type Attestation,
  AuditWatch,
  countRealm,
  firstOperatorToken,
  type KeyChangeTimes,
  PolicyCache,
} from '@sallyport/access';
import { readAttestationFile, softwareAttestation } from '@sallyport/attestation';
import {
  certificatePaths,
  createMetricsService,
  type Ready,
  type RunningServer,
  runServer,
  type Starting,
  takeAddressesFrom,
} from '@sallyport/http-service';
import { migrate, SqlStore } from '@sallyport/store-sql';
import { createMetrics, type Log } from '@sallyport/telemetry';
import type { FastifyInstance } from 'fastify';
import { createAdminService, createDirectoryService, createProxyService, type DirectoryServiceParts } from './app.ts';
import { addBackupMetrics, BackupSchedule } from './backup/schedule.ts';
import { backupSetup, backupTargetsOf } from './backup/setup.ts';
import { type Config, SETTINGS } from './config.ts';
import { Connectors } from './directories/connectors.ts';
import { DirectorySyncs } from './directories/syncs.ts';
import { CountWatch } from './farm/count-watch.ts';
import { drain } from './farm/drain.ts';
import { KeyTurns } from './farm/key-turns.ts';
import { SecurityNode } from './farm/node.ts';
import { placeOf } from './farm/place.ts';
import { ProxyLinks } from './farm/proxy-links.ts';
import { ServiceAccounts } from './farm/service-accounts.ts';
import { invitationText } from './invitation.ts';
import { openNodeJournal } from './journal/journal.ts';
import { JournalCopies } from './journal/journal-copies.ts';
import { writeCaFile } from './keys/ca-file.ts';
import type { ServerCertificate } from './keys/certificates.ts';
import { openRealmKeys } from './keys/keys.ts';
import { LiveKeys } from './keys/live-keys.ts';
import { readRootKey, rootKeyFileOf, settleRootKey } from './keys/root-key.ts';
import { NodeListeners } from './listeners.ts';
import { InForce } from './revocation/in-force.ts';
import { ReplacedSessions } from './revocation/session-end.ts';
import { Handshakes } from './sign-in/handshakes.ts';
import { RefusalRecord } from './sign-in/refusals.ts';
import { createSignIn } from './sign-in/sign-in.ts';
import { siteMapSigner } from './sign-in/site-map.ts';
import { openDatabase } from './stores/database.ts';
import { probeOf } from './stores/database-probe.ts';
import { waitForDatabase } from './stores/database-wait.ts';
import { watchLife } from './stores/life.ts';
import { openRealm } from './stores/open-realm.ts';
import { assertWhole } from './stores/restoring.ts';
import { openSharedState } from './stores/shared-state.ts';
import { assertTakenOver } from './stores/taking-over.ts';
import { bucketPlace } from './updates/package-place.ts';
import { PackageStore } from './updates/package-store.ts';
import { Renewal } from './upkeep/renewal.ts';
import { TrustedFiles } from './upkeep/trusted-files.ts';
import { startUpkeep } from './upkeep/upkeep.ts';

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

/** A start says after so long that it waits for its database, ms. */
const REACH_MS = 2_000;

const clocks = { wallMs: Date.now, monotonicMs: (): number => performance.now() };

/** Opens what the parts stand on, builds them, hands each what it uses, and listens. */
async function start(starting: Starting<typeof SETTINGS>): Promise<RunningServer> {
  const { config, log, end } = starting;
  assertWhole(config);
  assertTakenOver(config);
  const up: { node?: SecurityNode; isUp: boolean } = { isUp: false };
  const ground = await openGround(starting, () => up.isUp && up.node?.draining === false);
  const { waits, metrics, realm, nodeJournal, keys, place } = ground;
  const farm = buildFarm(config, log, ground);
  const { node, listeners, renewal } = farm;
  up.node = node;
  const parts = await buildParts(config, log, { ground, farm });
  await waits.through(() => node.report());
  parts.keyTurns.start();
  const { fingerprint } = keys.ca;
  const listening = await listen(config, log, { ground, farm, parts });

  node.start();
  farm.copies.start();
  parts.syncs.start();
  parts.backups.start();
  parts.refusals.start();
  const { auditWatch, countWatch, packages } = parts;
  const { access, fence, life } = realm;
  const watches = { auditWatch, countWatch, database: listening.database, metrics, packages };
  const stopUpkeep = startUpkeep({ access, node, ...watches, renewal, log });
  const stopWatching = watchLife({ life, fence, log }, (why) => {
    // Whoever starts it again hears why, or finds it at work on the database that took the place of this one.
    if (end()) log.error({ why }, 'nothing may be given from this database any more: this node ends itself');
  });
  const { id, proxyUrl, adminUrl, directoryUrl } = place;
  log.info({ proxyUrl, adminUrl, realm: config.SALLYPORT_REALM, node: id }, 'Security is up');

  const stop = async (): Promise<void> => {
    log.info('draining');
    stopUpkeep();
    stopWatching();
    await parts.backups.stop();
    listeners.stop();
    const { endControl } = listening;
    await drain({ node, handshakes: parts.handshakes, endControl }, config.SALLYPORT_DRAIN_MS);
    await parts.keyTurns.stop();
    node.stop();
    await farm.copies.stop();
    parts.syncs.stop();
    await Promise.all([listening.close(), ground.watched?.close()]);
    await parts.replaced.stop();
    await parts.refusals.stop();
    await ground.shared.bus.close();
    await nodeJournal.close();
    await life.check().catch(() => undefined);
    await ground.server.close();
  };
  const ready = async (): Promise<Ready> => {
    const oneTimeToken = await waits.through(() => firstOperatorToken(access, id));
    up.isUp = true;
    const words = (): string => welcome({ proxyUrl, adminUrl, fingerprint }, config, oneTimeToken);
    const ca = keys.authorities.join('\n');
    return { message: { proxyUrl, adminUrl, directoryUrl, metricsUrl: ground.metricsUrl, ca, oneTimeToken }, words };
  };
  return { stop, drainMs: config.SALLYPORT_DRAIN_MS, ready };
}

/** Opens what all parts stand on: the database with the schema in it, the realm and its keys, the journal, what nodes share. */
async function openGround({ config, log, release }: Starting<typeof SETTINGS>, ready: () => boolean) {
  // A database of our own is a process of its own: it ends with this one, also when the start fails or is broken off.
  const opened = await openDatabase(config);
  release(() => opened.close());
  const metrics = createMetrics();
  const waits = waitForDatabase(log);
  // Also before there is a database: whoever watches this node hears what it waits for.
  const { SALLYPORT_METRICS_LISTEN: metricsAddress } = config;
  const standing = { ready, waitsFor: () => waits.words };
  const watched = metricsAddress && createMetricsService({ log, metrics, standing });
  const metricsUrl = await watched?.listen(metricsAddress);
  const migrated = await waits.through(() => migrate(opened.address, undefined, REACH_MS));
  if (migrated.length > 0) log.info({ migrated }, 'the schema is up to date');
  const server = new SqlStore(opened.address, { replicated: opened.external });
  await server.openAll();
  const place = placeOf(config);
  const { id } = place;
  const attestation = attestationBy(config, log);
  const realm = await waits.through(() => openRealm({ config, server, log, node: id }));
  const { access, fence, life, epoch } = realm;
  const { store } = access;
  const nodeJournal = await waits.through(() => openNodeJournal(config, { id, store, epoch, fence, log }));
  life.useJournal(nodeJournal.writer);
  const rootKeyFile = rootKeyFileOf(config);
  const givenRoot = readRootKey(rootKeyFile);
  const keys = await waits.through(() => openRealmKeys(access, givenRoot));
  settleRootKey(rootKeyFile, givenRoot, keys.root.publicJwk);
  writeCaFile(config, keys.authorities);
  const shared = openSharedState(config);
  return { opened, metrics, waits, watched, metricsUrl, server, place, attestation, realm, nodeJournal, keys, shared };
}

type Ground = Awaited<ReturnType<typeof openGround>>;

/** This node among the others, and what it keeps for itself: keys, listeners, certificates, copies of the journal. */
function buildFarm(config: Config, log: Log, { realm, place, nodeJournal, keys, shared, metrics }: Ground) {
  const { access, fence, epoch } = realm;
  const { id, proxyUrl, adminUrl } = place;
  const { writer: journal, authorityMs } = nodeJournal;
  const { bus } = shared;
  const { wallMs, monotonicMs } = clocks;
  const liveKeys = new LiveKeys(access, keys, { monotonicMs, times: changeTimesOf(config) });
  const listeners = new NodeListeners(log, metrics);
  const proxies = new ProxyLinks(monotonicMs);
  const degraded = (): string[] => [
    ...(bus.connected ? [] : [`${id}: Redis does not answer; pushes are polled`]),
    ...listeners.words(wallMs()).map((words) => `${id}: ${words}`),
    ...proxies.words(),
    ...copies.words(),
  ];
  const self = { id, proxyUrl, adminUrl, version, journal: nodeJournal.identity, startedAt: wallMs() };
  const copies: JournalCopies = new JournalCopies(
    { access, epoch, journal, log, monotonicMs, node: { isFirst: () => node.isFirst, head: () => node.head } },
    backupTargetsOf(config),
  );
  const { SALLYPORT_NAMES: names, SALLYPORT_CERTIFICATE_LIFE_MS: lifeMs } = config;
  const trusted = (authorities: readonly string[]): void => writeCaFile(config, authorities);
  const files = new TrustedFiles(config, monotonicMs);
  const renewal = new Renewal({ access, liveKeys, listeners, files, id, names, lifeMs, trusted, log });
  const knownKeys = (): readonly string[] => renewal.knownKeys;
  const parts = { self, access, fence, journal, authorityMs, liveKeys, knownKeys, bus, log, degraded, ...clocks };
  const node = new SecurityNode({ ...parts, otherSiteUrls: config.SALLYPORT_OTHER_SITE_NODES });
  return { journal, liveKeys, listeners, proxies, copies, renewal, node };
}

type Farm = ReturnType<typeof buildFarm>;

/** What answers devices and operators, and what runs beside it. */
async function buildParts(
  config: Config,
  log: Log,
  { ground, farm }: { readonly ground: Ground; readonly farm: Farm },
) {
  const { metrics, realm, shared } = ground;
  const { access, kekNode } = realm;
  const { bus, addressThrottle, lockout } = shared;
  const { node, liveKeys, journal } = farm;
  const { wallMs, monotonicMs } = clocks;
  const keyTurns = new KeyTurns({ access, kekNode, node, log });
  const inForce = new InForce({ access, node, bus, journal, monotonicMs, log });
  const refusals = new RefusalRecord({ access, log });
  const connectors = new Connectors(access);
  const syncs = new DirectorySyncs({ access, connectors, node, bus, log, inForce, ...clocks });
  const backup = await backupSetup(config);
  const backups = new BackupSchedule({ access, node, ...backup, log, monotonicMs });
  if (backup.places.length > 0) addBackupMetrics(metrics, backups);
  const auditWatch = new AuditWatch(access);
  const countWatch = new CountWatch(() => countRealm(access));
  const siteMap = siteMapSigner({ access, liveKeys });
  const replaced = new ReplacedSessions({ access, bus, log });
  const policies = new PolicyCache();
  const packages = packageStoreOf(config);
  const signIn = createSignIn({ access, policies, connectors, lockout, refusals, bus, replaced, log, wallMs });
  const handshakes = new Handshakes({ access, liveKeys, addressThrottle, refusals, log, ...clocks, signIn, siteMap });
  return {
    ...{ keyTurns, inForce, refusals, connectors, syncs, backup, backups, auditWatch, countWatch },
    ...{ siteMap, replaced, policies, packages, handshakes },
  };
}

type Parts = Awaited<ReturnType<typeof buildParts>>;

/** Opens the listeners for Proxies, operators and directories. */
async function listen(
  config: Config,
  log: Log,
  { ground, farm, parts }: { readonly ground: Ground; readonly farm: Farm; readonly parts: Parts },
) {
  const { metrics, server, opened, place, attestation, realm, keys, shared } = ground;
  const { access, life } = realm;
  const { bus, presence, addressThrottle } = shared;
  const { journal, liveKeys, listeners, proxies, copies, renewal, node } = farm;
  const { keyTurns, inForce, refusals, connectors, syncs, backup, auditWatch, countWatch } = parts;
  const { siteMap, replaced, policies, packages, handshakes } = parts;
  const { directoryUrl } = place;
  const { wallMs, monotonicMs } = clocks;
  const { SALLYPORT_NAMES: names, SALLYPORT_CERTIFICATE_LIFE_MS: certificateLifeMs } = config;
  const certificate = await keys.ca.issueServer(names, wallMs(), certificateLifeMs);
  const leaseMs = config.SALLYPORT_LEASE_MS;
  const forProxies = createProxyService(
    {
      ...{ access, attestation, policies, packages, liveKeys, handshakes, siteMap, node, life, proxies },
      ...{ presence, bus, replaced },
      ...{ certificateLifeMs, addressThrottle, refusals, journal, leaseMs, metrics, log, ...clocks },
      serviceAccounts: ServiceAccounts.open(config, log),
    },
    certificate,
  );
  const database = probeOf(server, opened);
  const admin = await createAdminService(
    {
      ...{ access, packages, node, keyTurns, inForce, syncs, connectors, proxies, presence, bus, journal, copies },
      ...{ backup, liveKeys, refusals, renewOwn: () => renewal.renew() },
      ...{ addressThrottle, auditWatch, countWatch, directoryUrl, version, database, shared, leaseMs, log, ...clocks },
    },
    certificate,
  );
  takeAddressesFrom(config.SALLYPORT_BALANCERS, admin.server);
  await forProxies.service.listen(config.SALLYPORT_PROXY_LISTEN);
  await admin.listen(config.SALLYPORT_ADMIN_LISTEN);
  const forDirectories = { access, node, connectors, addressThrottle, bus, inForce, directoryUrl, log, monotonicMs };
  const directory = await listenForDirectories(config, listeners, { parts: forDirectories, own: certificate });
  listeners.keep('Proxy', forProxies.service, { certificate });
  listeners.keep('admin', admin, { certificate });
  listeners.renew(certificate, keys.authorities);
  const close = (): Promise<unknown> => Promise.all([forProxies.service.close(), admin.close(), directory?.close()]);
  return { database, endControl: forProxies.endControl, close };
}

/** Where packages of apps are: a bucket has whole ones, and what comes is in a folder of this node until it is. */
function packageStoreOf({ SALLYPORT_PACKAGES: place, SALLYPORT_DATA: data }: Config): PackageStore {
  const own = join(data, 'security', 'packages');
  if (place === undefined || typeof place === 'string') return new PackageStore(place ?? own);
  return new PackageStore(own, bucketPlace(place));
}

/** What verifies evidence of devices. A node with less trust than was meant must not start. */
function attestationBy({ SALLYPORT_ATTESTATION: file }: Config, log: Log): Attestation {
  if (file === undefined) return softwareAttestation();
  return readAttestationFile(file, (error) =>
    log.warn({ err: error }, 'the list of revoked keys could not be read again: the one of before counts'),
  );
}

/** Opens the listener for directories, when there is to be one. */
async function listenForDirectories(
  config: Config,
  listeners: NodeListeners,
  { parts, own }: { readonly parts: DirectoryServiceParts; readonly own: ServerCertificate },
): Promise<FastifyInstance | undefined> {
  const { SALLYPORT_DIRECTORY_LISTEN: address } = config;
  if (!address) return undefined;
  const paths = certificatePaths(config, {
    certificate: 'SALLYPORT_DIRECTORY_CERTIFICATE',
    key: 'SALLYPORT_DIRECTORY_KEY',
    trusted: 'SALLYPORT_DIRECTORY_TRUSTED',
  });
  const files = paths && listeners.open('directory', paths, directoryNames(config));
  const certificate = files?.current ?? own;
  const service = createDirectoryService(parts, certificate);
  listeners.keep('directory', service, { certificate, ...(files ? { files } : {}) });
  takeAddressesFrom(config.SALLYPORT_BALANCERS, service.server);
  await service.listen(address);
  return service;
}

const HOUR_MS = 3_600_000;

/**
 * What was issued or signed by an old key is over when it is retired: a certificate by the old CA, a site map, an assertion. Backends
 * that read the keys of assertions now and then have the next one before it signs.
 */
function changeTimesOf({ SALLYPORT_CERTIFICATE_LIFE_MS: lifeMs }: Config): KeyChangeTimes {
  return {
    leadMs: { ca: 0, root: 0, assertion: HOUR_MS },
    overlapMs: { ca: lifeMs + 60_000, root: 24 * HOUR_MS, assertion: HOUR_MS },
  };
}

/** Under which name directories come, as far as it is said. */
function directoryNames({ SALLYPORT_DIRECTORY_URL: url }: Config): string[] {
  return url ? [new URL(url).hostname] : [];
}

/** What a person at the terminal reads. */
function welcome(
  { proxyUrl, adminUrl, fingerprint }: { proxyUrl: string; adminUrl: string; fingerprint: string },
  { SALLYPORT_DATA: folder }: Config,
  oneTimeToken: string | undefined,
): string {
  const place = { folder, isTerminal: process.stdout.isTTY };
  const invitation = oneTimeToken ? `${invitationText(oneTimeToken, place)}\n` : '';
  return `Security is up.\n  operators: ${adminUrl}\n  Proxies:   ${proxyUrl}\n  CA:        ${fingerprint}\n${invitation}`;
}

await runServer({ name: 'security', title: 'Security', settings: SETTINGS, start });
