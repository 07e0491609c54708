import { readFileSync } from 'node:fs';
import type { createServer } from 'node:https';
import { join } from 'node:path';
import {
  type AccessContext,
  ensureRealm,
  firstOperatorToken,
  memoryThrottle,
  PolicyCache,
  rewrapRealm,
} from '@sallyport/access';
import { serverCrypto } from '@sallyport/channel/sodium';
import { type ListenAddress, readSettings } from '@sallyport/settings';
import { migrate, SqlStore } from '@sallyport/store-sql';
import { createLog, createMetrics, type Log } from '@sallyport/telemetry';
import type { FastifyInstance } from 'fastify';
import { createAdminService, createProxyService, TLS } from './app.ts';
import { LEAF_TTL_MS } from './certificates.ts';
import { type Config, SETTINGS } from './config.ts';
import { openDatabase } from './database.ts';
import { addKek, openKeyring } from './kek.ts';
import { openRealmKeys, type RealmKeys } from './keys.ts';
import { createPasswordHasher } from './passwords.ts';
import { PushBus } from './push-bus.ts';
import type { RealmContext } from './realm-context.ts';

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

function listen(service: FastifyInstance, { host, port }: ListenAddress): Promise<string> {
  return service.listen({ host, port });
}

/**
 * Reads the realm's keys again, which makes a new handshake key when the newest gets old, and renews the certificates of
 * the listeners. Both well before the old ones end.
 */
function renewKeys(
  config: Config,
  context: RealmContext,
  useKeys: (keys: RealmKeys) => void,
  services: readonly FastifyInstance[],
): NodeJS.Timeout {
  return setInterval(async () => {
    try {
      const keys = await openRealmKeys(context.access);
      useKeys(keys);
      const { certificate, key } = await keys.ca.issueServer(config.SALLYPORT_NAMES, Date.now());
      for (const service of services) {
        const server = service.server as unknown as ReturnType<typeof createServer>;
        server.setSecureContext({ ...TLS, cert: certificate, key, ca: keys.ca.certificate });
      }
    } catch (error) {
      context.log.error({ err: error }, 'keys and server certificate could not be renewed');
    }
  }, LEAF_TTL_MS / 4);
}

function contextOf(
  config: Config,
  access: AccessContext,
  start: RealmKeys,
  log: Log,
): { context: RealmContext; useKeys: (keys: RealmKeys) => void } {
  const now = (): number => performance.now();
  let current = start;
  const context: RealmContext = {
    access,
    get keys() {
      return current;
    },
    policies: new PolicyCache(),
    log,
    metrics: createMetrics(),
    leaseMs: config.SALLYPORT_LEASE_MS,
    addressThrottle: memoryThrottle({
      burst: config.SALLYPORT_ADDRESS_BURST,
      perMinute: config.SALLYPORT_ADDRESS_PER_MINUTE,
      now,
    }),
    failureThrottle: memoryThrottle({ burst: 5, perMinute: 5, now }),
    pushes: new PushBus(),
  };
  const useKeys = (keys: RealmKeys): void => {
    current = keys;
  };
  return { context, useKeys };
}

/** Tells a parent that started us with an IPC channel, or a person at the terminal. Never the log: it holds a token. */
function announce(message: Readonly<Record<string, unknown>>, text: string): void {
  if (process.send) process.send(message);
  else process.stdout.write(`${text}\n`);
}

async function start(): Promise<void> {
  const config = readSettings(SETTINGS);
  const log = createLog('security', config.SALLYPORT_LOG_LEVEL);
  const crypto = serverCrypto();
  const kekFile = join(config.SALLYPORT_DATA, 'security', 'kek.json');
  const database = await openDatabase(config);
  const migrated = await migrate(database.address);
  if (migrated.length > 0) log.info({ migrated }, 'the schema is up to date');
  const store = new SqlStore(database.address);
  const rotate = process.argv.includes('--rotate-kek');
  const opened = openKeyring(crypto, kekFile);
  const keyring = rotate ? addKek(crypto, kekFile) : opened;
  const access: AccessContext = {
    store: store.in(config.SALLYPORT_REALM),
    crypto,
    keyring,
    passwords: createPasswordHasher(),
    now: Date.now,
  };
  await ensureRealm(access);
  if (rotate) log.info({ rewrapped: await rewrapRealm(access), kek: keyring.current }, 'all secrets are wrapped anew');
  const keys = await openRealmKeys(access);
  const { context, useKeys } = contextOf(config, access, keys, log);
  const certificate = await keys.ca.issueServer(config.SALLYPORT_NAMES, Date.now());
  const { service: proxies, endControl } = createProxyService(context, certificate);
  const proxyUrl = await listen(proxies, config.SALLYPORT_PROXY_LISTEN);
  const databaseVersion = async (): Promise<string> =>
    `PostgreSQL ${await store.serverVersion()}, ${database.description}`;
  const admin = await createAdminService({ context, version, database: databaseVersion, proxyUrl }, certificate);
  const adminUrl = config.SALLYPORT_ADMIN_URL ?? (await listen(admin, config.SALLYPORT_ADMIN_LISTEN));
  if (config.SALLYPORT_ADMIN_URL !== undefined) await listen(admin, config.SALLYPORT_ADMIN_LISTEN);
  const renewal = renewKeys(config, context, useKeys, [proxies, admin]);

  let stopping = false;
  const stop = async (): Promise<void> => {
    if (stopping) return;
    stopping = true;
    log.info('stopping');
    clearInterval(renewal);
    endControl();
    await Promise.all([proxies.close(), admin.close()]);
    await store.close();
    await database.close();
    process.exit(0);
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void stop());
  process.on('disconnect', () => void stop());

  log.info({ proxyUrl, adminUrl, realm: config.SALLYPORT_REALM }, 'Security is up');
  const oneTimeToken = await firstOperatorToken(access);
  const ready = { type: 'ready', proxyUrl, adminUrl, ca: keys.ca.certificate, oneTimeToken };
  const welcome = `Security is up.\n  operators: ${adminUrl}\n  Proxies:   ${proxyUrl}\n  CA:        ${keys.ca.fingerprint}`;
  const invitation = oneTimeToken ? `\nOne-time operator token, good for a day:\n  ${oneTimeToken}` : '';
  announce(ready, welcome + invitation);
}

await start().catch((error: unknown) => {
  process.stderr.write(`Security could not start: ${(error as Error).message}\n`);
  const cause = (error as Error).cause;
  if (cause instanceof Error) process.stderr.write(`  because: ${cause.message}\n`);
  process.exit(1);
});
