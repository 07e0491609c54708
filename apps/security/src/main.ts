import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type AccessContext,
  checkKeks,
  EpochFence,
  ensureRealm,
  fencedStore,
  firstOperatorToken,
  hasRealm,
  type Keyring,
  nextKekId,
  type RealmStore,
  raiseLongestLease,
  readRealm,
  rewrapRealm,
  sealedStore,
  sealRealm,
  settleJournal,
} from '@sallyport/access';
import { serverCrypto } from '@sallyport/channel/sodium';
import {
  createMetricsService,
  type Ready,
  type RunningServer,
  runServer,
  type Starting,
  takeAddressesFrom,
} from '@sallyport/http-service';
import type { ListenAddress } from '@sallyport/settings';
import { migrate, SqlStore } from '@sallyport/store-sql';
import type { Log } from '@sallyport/telemetry';
import type { FastifyInstance } from 'fastify';
import {
  createAdminService,
  createDirectoryService,
  createProxyService,
  DIRECTORY_TLS,
  type ServerCertificate,
  TLS,
} from './app.ts';
import { type Config, SETTINGS } from './config.ts';
import { contextOf, nodeIdOf } from './context.ts';
import { invitationText } from './invitation.ts';
import { journalIdentityOf, openJournal, openJournalWriter } from './journal/journal.ts';
import { LEAF_TTL_MS } from './keys/certificates.ts';
import { addKek, keyFileOf, noteSealed, openKeks } from './keys/kek.ts';
import { openRealmKeys } from './keys/keys.ts';
import { createPasswordHasher } from './keys/passwords.ts';
import type { RealmContext } from './realm-context.ts';
import { openDatabase } from './stores/database.ts';
import { probeOf } from './stores/database-probe.ts';
import { LifeGuard, lifeFileOf } from './stores/life.ts';
import { openSharedState } from './stores/shared-state.ts';
import { startErasing } from './upkeep/erasing.ts';
import { startRetention } from './upkeep/retention.ts';

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

/** Between telling that this node drains and closing its listeners, so that Proxies and load balancers notice, ms. */
const UNREADY_MS = 500;
const DRAIN_POLL_MS = 50;
/** How often the database is held against what this node has seen of it, ms. */
const LIFE_CHECK_MS = 10_000;
/** How often this process asks itself whether it may give anything at all, ms. */
const FENCE_LOOK_MS = 500;

/** Keys and own certificates are renewed this often, and when that failed sooner, ms. */
const RENEW_MS = LEAF_TTL_MS / 4;
const RENEW_AGAIN_MS = 600_000;
/** The whole audit log is checked again this often, ms. */
const RECHECK_MS = 21_600_000;

function listen(service: FastifyInstance, { host, port }: ListenAddress): Promise<string> {
  return service.listen({ host, port });
}

/** The URL under which a listener will be reached. */
function urlOf({ host, port }: ListenAddress): string {
  return `https://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/**
 * Reads the realm's keys again, which makes a new handshake key when the newest gets old, and renews the certificates of
 * the listeners. Both well before the old ones end.
 */
function renewKeys(config: Config, context: RealmContext): { stop: () => void } {
  let timer: NodeJS.Timeout;
  const renew = async (): Promise<void> => {
    let next = RENEW_MS;
    try {
      const keys = await openRealmKeys(context.access);
      context.liveKeys.use(keys);
      const { certificate, key } = await keys.ca.issueServer(config.SALLYPORT_NAMES, Date.now());
      context.listeners.renew({ certificate, key }, keys.ca.certificate);
    } catch (error) {
      next = RENEW_AGAIN_MS;
      context.log.error({ err: error }, 'keys and server certificate could not be renewed');
    }
    timer = setTimeout(() => void renew(), next);
  };
  timer = setTimeout(() => void renew(), RENEW_MS);
  return { stop: () => clearTimeout(timer) };
}

/** Opens the key file, held against what the realm knows of its keys; with `--rotate-kek` there is a new one. */
async function openRealmKeyring(config: Config, store: RealmStore, log: Log): Promise<Keyring> {
  const crypto = serverCrypto();
  const kekFile = keyFileOf(config);
  const { keyring, sealed } = openKeks(crypto, kekFile, await hasRealm(store));
  const missing = await checkKeks(store, keyring);
  if (missing.length > 0) log.warn({ missing }, 'the realm knows key-encryption keys that kek.json here lacks');
  if (!sealed) {
    const rows = await sealRealm(store, keyring);
    if (rows > 0) log.info({ rows }, 'rows of an earlier version are sealed');
    noteSealed(kekFile);
  }
  if (!process.argv.includes('--rotate-kek')) return keyring;
  const id = await nextKekId(store, keyring);
  return addKek(crypto, kekFile, { id, note: (rotated) => checkKeks(store, rotated) });
}

/** The rules of the realm on its store, and what holds this process to one life of it. */
interface OpenAccess {
  readonly access: AccessContext;
  readonly fence: EpochFence;
  readonly life: LifeGuard;
  readonly epoch: string;
}

/**
 * Opens the rules of the realm on its store; `--rotate-kek` wraps all secrets anew.
 * @throws Error when the database is older than what this node has seen of it, or another one
 */
async function openAccess(config: Config, server: SqlStore, log: Log): Promise<OpenAccess> {
  const bare = server.in(config.SALLYPORT_REALM);
  const rotate = process.argv.includes('--rotate-kek');
  const keyring = await openRealmKeyring(config, bare, log);
  const fence = new EpochFence();
  const sealed = sealedStore(bare, keyring, (row) =>
    log.error({ row }, 'a row of the database was not written by a Security server with the keys of this realm'),
  );
  const store = fencedStore(sealed, fence);
  const access: AccessContext = { store, crypto: serverCrypto(), keyring, passwords: createPasswordHasher() };
  await ensureRealm(access, config.SALLYPORT_LEASE_MS);
  await raiseLongestLease(access.store, config.SALLYPORT_LEASE_MS);
  const { epoch } = await readRealm(access.store);
  fence.pin(epoch);
  const life = new LifeGuard({ file: lifeFileOf(config), server, store, fence });
  const refusal = await life.check();
  if (refusal !== undefined) throw new Error(refusal);
  if (rotate) log.info({ rewrapped: await rewrapRealm(access), kek: keyring.current }, 'all secrets are wrapped anew');
  return { access, fence, life, epoch };
}

/** Looks again and again whether the database is still the one it was; once it is not, this process is of no use any more. */
function watchLife(
  { life, fence }: Pick<OpenAccess, 'life' | 'fence'>,
  { log, end }: { readonly log: Log; readonly end: (why: string) => void },
): { stop: () => void } {
  const holding = setInterval(() => {
    life.check().catch((error: unknown) => {
      log.warn({ err: error }, 'the database could not be held against what this node knows of it');
    });
  }, LIFE_CHECK_MS);
  const looking = setInterval(() => {
    if (fence.refusal !== undefined) end(fence.refusal);
  }, FENCE_LOOK_MS);
  return {
    stop() {
      clearInterval(holding);
      clearInterval(looking);
    },
  };
}

/** Opens the listener for directories, when there is to be one. */
async function listenForDirectories(
  config: Config,
  context: RealmContext,
  own: ServerCertificate,
): Promise<FastifyInstance | undefined> {
  const {
    SALLYPORT_DIRECTORY_LISTEN: address,
    SALLYPORT_DIRECTORY_CERTIFICATE: file,
    SALLYPORT_DIRECTORY_KEY: key,
  } = config;
  if (!address) return undefined;
  const files = file && key ? context.listeners.open({ certificateFile: file, keyFile: key }) : undefined;
  const certificate = files?.current ?? own;
  const service = createDirectoryService(context, certificate);
  context.listeners.keep('directory', service, { certificate, tls: DIRECTORY_TLS, ...(files ? { files } : {}) });
  takeAddressesFrom(config.SALLYPORT_BALANCERS, service.server);
  await listen(service, address);
  return service;
}

/** Sends everybody elsewhere: unready, control connections closed, handshakes finished. */
async function drain(
  context: RealmContext,
  node: { handshakes: () => number; endControl: () => void; maxMs: number },
): Promise<void> {
  const deadline = performance.now() + node.maxMs;
  await context.node.drain();
  node.endControl();
  const others = context.node.proxyUrls.length > 1;
  if (others) await sleep(Math.min(UNREADY_MS, node.maxMs));
  while (node.handshakes() > 0 && performance.now() < deadline) await sleep(DRAIN_POLL_MS);
}

async function start({ config, log, release, end }: Starting<typeof SETTINGS>): Promise<RunningServer> {
  const database = await openDatabase(config);
  // A database of our own is a process of its own: it ends with this one, also when the start fails or is broken off.
  release(() => database.close());
  const migrated = await migrate(database.address);
  if (migrated.length > 0) log.info({ migrated }, 'the schema is up to date');
  const store = new SqlStore(database.address, { replicated: database.external });
  await store.openAll();
  const { access, fence, life, epoch } = await openAccess(config, store, log);
  const proxyUrl = config.SALLYPORT_PROXY_URL ?? urlOf(config.SALLYPORT_PROXY_LISTEN);
  const adminUrl = config.SALLYPORT_ADMIN_URL ?? urlOf(config.SALLYPORT_ADMIN_LISTEN);
  const opened = await openJournal(config);
  const identity = journalIdentityOf(opened);
  await settleJournal(access.store, {
    id: nodeIdOf(config, proxyUrl),
    journal: identity,
    description: opened?.journal.description ?? '',
    monotonicMs: () => performance.now(),
    sleep,
  });
  fence.pinJournal(identity);
  const journal = opened && (await openJournalWriter(opened, { store: access.store, epoch, log }));
  const keys = await openRealmKeys(access);
  const id = nodeIdOf(config, proxyUrl);
  const self = { id, proxyUrl, adminUrl, version, journal: identity, startedAt: Date.now() };
  const shared = openSharedState(config);
  const context = contextOf({ config, access, fence, journal, keys, log, shared, self });
  const { node } = context;
  await node.tell();
  const certificate = await keys.ca.issueServer(config.SALLYPORT_NAMES, Date.now());
  const { service: proxies, handshakes, endControl } = createProxyService(context, certificate);
  const routes = { context, version, database: probeOf(store, database.description), shared };
  const admin = await createAdminService(routes, certificate);
  takeAddressesFrom(config.SALLYPORT_BALANCERS, admin.server);
  await listen(proxies, config.SALLYPORT_PROXY_LISTEN);
  await listen(admin, config.SALLYPORT_ADMIN_LISTEN);
  const directory = await listenForDirectories(config, context, certificate);
  const { SALLYPORT_METRICS_LISTEN: metricsAddress } = config;
  const watched = metricsAddress && createMetricsService({ log, metrics: context.metrics });
  const metricsUrl = await watched?.listen(metricsAddress);
  node.start();
  context.syncs.start();
  context.refusals.start();
  // The whole log is checked once now, beside everything else, and again from time to time.
  void context.auditWatch.look(0).catch(() => undefined);
  // Who asks for the status first does not wait for the counts of a large farm either.
  void context.countWatch.look(0).catch(() => undefined);
  const recheck = setInterval(() => void context.auditWatch.recheck().catch(() => undefined), RECHECK_MS);
  const stopErasing = startErasing(context);
  const stopRetention = startRetention(context);
  const ca = keys.ca.certificate;
  context.listeners.keep('Proxy', proxies, { certificate, tls: { ...TLS, ca } });
  context.listeners.keep('admin', admin, { certificate, tls: TLS });
  context.listeners.renew(certificate, ca);
  const renewal = renewKeys(config, context);

  const watching = watchLife(
    { life, fence },
    {
      log,
      end(why) {
        // Whoever starts it again hears why, or finds it at work on the database that took the place of this one.
        if (end()) log.error({ why }, 'nothing may be given from this database any more: this node ends itself');
      },
    },
  );

  log.info({ proxyUrl, adminUrl, realm: config.SALLYPORT_REALM, node: node.id }, 'Security is up');
  const stop = async (): Promise<void> => {
    log.info('draining');
    renewal.stop();
    clearInterval(recheck);
    watching.stop();
    stopRetention();
    context.listeners.stop();
    stopErasing();
    await drain(context, { handshakes: () => handshakes.size, endControl, maxMs: config.SALLYPORT_DRAIN_MS });
    node.stop();
    context.syncs.stop();
    await Promise.all([proxies.close(), admin.close(), directory?.close(), watched?.close()]);
    await context.refusals.stop();
    await shared.bus.close();
    await opened?.journal.close();
    await life.check().catch(() => undefined);
    await store.close();
  };
  const ready = async (): Promise<Ready> => {
    const oneTimeToken = await firstOperatorToken(access, node.id);
    const { directoryUrl } = context;
    const { certificate: ca, fingerprint } = keys.ca;
    const words = (): string => {
      const place = { folder: config.SALLYPORT_DATA, isTerminal: process.stdout.isTTY };
      const invitation = oneTimeToken ? `${invitationText(oneTimeToken, place)}\n` : '';
      return `Security is up.\n  operators: ${adminUrl}\n  Proxies:   ${proxyUrl}\n  CA:        ${fingerprint}\n${invitation}`;
    };
    return { message: { proxyUrl, adminUrl, directoryUrl, metricsUrl, ca, oneTimeToken }, words };
  };
  return { stop, ready };
}

await runServer({ name: 'security', title: 'Security', settings: SETTINGS, start });
