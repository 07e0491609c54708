import type { AddressInfo, Server } from 'node:net';
import { join } from 'node:path';
import { serverCrypto } from '@sallyport/channel/sodium';
import {
  createMetricsService,
  type RunningServer,
  runServer,
  type Starting,
  type StartWait,
  takeAddressesFrom,
} from '@sallyport/http-service';
import {
  ControlConnection,
  NodeList,
  processClocks,
  SecurityClient,
  type SecurityClientError,
} from '@sallyport/security-client';
import { createMetrics, createRefusals, type Log, type Metrics } from '@sallyport/telemetry';
import { AcmeCertificate } from './acme.ts';
import { createDeviceListener, createHealthService } from './app.ts';
import { Backends } from './backend/backends.ts';
import { tryBackend } from './backend/try.ts';
import { type Config, SETTINGS } from './config.ts';
import { SocketAdmission } from './device/admission.ts';
import { Channels } from './device/channels.ts';
import { InstallPages } from './install-pages.ts';
import { waitToJoin } from './join-wait.ts';
import { KeptIdentity } from './kept-identity.ts';
import { KeptRevocations } from './kept-revocations.ts';
import { KeptText } from './kept-text.ts';
import { podSettings } from './pod-identity.ts';
import { keepPublicCertificate, openPublicCertificate, withAcme } from './public-certificate.ts';
import { Countries } from './serving/countries.ts';
import { OriginNames } from './serving/origin-names.ts';
import { Serving } from './serving/serving.ts';
import { SiteMapCache } from './serving/site-map.ts';
import { tellCertificates } from './tell-certificates.ts';

/** The realm's site map, also that of an earlier run; devices are told of each newer one. */
function keepSiteMap(
  folder: string,
  parts: { realm: string; security: SecurityClient; channels: Channels; log: Log; metrics: Metrics },
): SiteMapCache {
  const { realm, security, channels, log, metrics } = parts;
  const kind = {
    metric: 'sallyport_site_map_missed_total',
    help: 'questions for the site map that brought none',
    words: 'Security gave no site map that is taken',
  };
  const missed = createRefusals(kind, { log, metrics, now: () => performance.now() });
  const kept = new KeptText(join(folder, 'site-map.json'), (error) =>
    log.warn({ err: error }, 'the site map could not be kept'),
  );
  return new SiteMapCache({
    realm,
    ask: (seq) => security.siteMap(seq),
    kept: kept.read(),
    changed: (known) => {
      kept.keep(JSON.stringify(known.answer));
      channels.siteMapChanged(known);
    },
    refused: (error) => missed.met('it is not good; the last good one stays', { err: error }),
    failed: (error) => missed.met((error as SecurityClientError).code ?? 'ERR_SECURITY_ANSWER', { err: error }),
  });
}

/** Who this Proxy is: of its pod, or by its join token. */
function openIdentity(config: Config, wait: StartWait): Promise<KeptIdentity> {
  const file = join(config.SALLYPORT_DATA, 'identity.json');
  const pod = podSettings(config);
  return pod ? KeptIdentity.openPod(file, pod, wait) : KeptIdentity.open(file, config.SALLYPORT_JOIN_TOKEN, wait);
}

function openBackends(log: Log, metrics: Metrics): Backends {
  const backends = new Backends({
    handlerFailed: (error) => log.error({ err: error }, 'an exchange with a backend failed'),
    serverChanged: (server, well) =>
      well ? log.info({ server }, 'a server is well again') : log.warn({ server }, 'a server of several rests'),
  });
  metrics.gauge('sallyport_backend_servers_resting', 'servers of several that get nothing', () => backends.resting);
  return backends;
}

function openAdmission(config: Config, serving: Serving, metrics: Metrics): SocketAdmission {
  const limits = {
    maxSockets: config.SALLYPORT_MAX_SOCKETS,
    socketsPerAddress: config.SALLYPORT_SOCKETS_PER_ADDRESS,
    hellosPerAddress: config.SALLYPORT_HELLOS_PER_ADDRESS,
    opensPerSession: config.SALLYPORT_OPENS_PER_SESSION,
  };
  const admission = new SocketAdmission(limits, serving.limited);
  metrics.gauge('sallyport_strangers', 'sockets without a channel', () => admission.strangers);
  return admission;
}

function listen(server: Server, { host, port }: Config['SALLYPORT_LISTEN']): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port, backlog: 4_096 }, resolve);
  });
}

async function start({ config, log }: Starting<typeof SETTINGS>): Promise<RunningServer> {
  const metrics = createMetrics();
  const wait = waitToJoin(log);
  // Also before Security answers: whoever watches this Proxy hears that it lives, and what it waits for.
  let isReady = (): boolean => false;
  const health = createHealthService(log, () => isReady());
  const healthUrl = await health.listen(config.SALLYPORT_HEALTH_LISTEN);
  const { SALLYPORT_METRICS_LISTEN: metricsAddress } = config;
  const standing = { ready: () => isReady(), waitsFor: () => wait.words };
  const watched = metricsAddress && createMetricsService({ log, metrics, standing });
  const metricsUrl = await watched?.listen(metricsAddress);
  const kept = await openIdentity(config, wait);
  const identity = kept.current;
  const keptRevocations = await KeptRevocations.open({ file: join(config.SALLYPORT_DATA, 'revocations.jsonl'), log });
  const nodes = new NodeList(identity, (urls) => kept.keep({ urls }));
  const security = new SecurityClient(identity, nodes);
  const backends = openBackends(log, metrics);
  const countries = config.SALLYPORT_COUNTRIES ? new Countries(config.SALLYPORT_COUNTRIES, log) : undefined;
  const countryOf = (address: string): string | undefined => countries?.of(address);
  const serving = new Serving({ identity, security, backends, log, metrics, countryOf });
  const channels = new Channels(serving, metrics);
  const siteMap = keepSiteMap(config.SALLYPORT_DATA, { realm: identity.realm, security, channels, log, metrics });
  const keptWitness = new KeptText(join(config.SALLYPORT_DATA, 'witness'), (error) =>
    log.warn({ err: error }, 'what Security said of its database could not be kept'),
  );
  const listener = {
    apply: channels.apply.bind(channels),
    anew: channels.beginAnew.bind(channels),
    done: channels.done.bind(channels),
    channelCount: () => channels.size,
    witnessed: (text: string) => keptWitness.keep(text),
    siteMap: (seq: number) => siteMap.heardOf(seq),
    troubles: () => serving.troubles.recent(),
    tryBackend,
    keep: keptRevocations.keep.bind(keptRevocations),
    served: () => serving.traffic,
    siteDrained: channels.siteDrained.bind(channels),
    renew: () => renewal.now(),
    trouble: (error: unknown) => log.warn({ err: error }, 'a Security node is out of reach'),
  };
  const follows = { clocks: processClocks(), crypto: serverCrypto(), listener, witness: keptWitness.read() };
  const control = new ControlConnection({ identity, nodes, ...follows });
  security.useInstance(() => control.follower.instance);
  serving.useControl(control);
  const stopBringing = keptRevocations.bringBack({ security, epoch: () => control.follower.epoch });
  const renewal = kept.renewInTime(async (renewed) => {
    await security.useIdentity(renewed);
    control.useIdentity(renewed);
  }, log);

  const admission = openAdmission(config, serving, metrics);
  const names = new OriginNames(
    () => kept.current.site,
    () => siteMap.get(),
  );
  const acme = await AcmeCertificate.open(config, { log, metrics });
  const files = openPublicCertificate(withAcme(config, acme), { names, log, metrics });
  const server = createDeviceListener({
    serving,
    channels,
    siteMap,
    admission,
    installPages: new InstallPages({ security, limited: serving.limited, log }),
    crypto: serverCrypto(),
    trustedHops: config.SALLYPORT_TRUSTED_HOPS,
    maxSockets: config.SALLYPORT_MAX_SOCKETS,
    ...(files ? { tls: files.current } : {}),
  });
  const stopKeeping = [
    ...(files ? [keepPublicCertificate(server, files, metrics), names.follow()] : []),
    tellCertificates({ security, identity: () => kept.current, files, acme }),
    () => void acme?.stop(),
  ];
  takeAddressesFrom(config.SALLYPORT_BALANCERS, server);
  await listen(server, config.SALLYPORT_LISTEN);
  isReady = () => serving.mayServe() && !channels.stopping;

  const stop = async (): Promise<void> => {
    log.info('draining');
    renewal.stop();
    stopBringing();
    countries?.close();
    siteMap.close();
    for (const stopOne of stopKeeping) stopOne();
    const drained = channels.drain(config.SALLYPORT_DRAIN_MS);
    await new Promise((resolve) => setTimeout(resolve, config.SALLYPORT_UNREADY_MS));
    server.close();
    await drained;
    control.close();
    await keptRevocations.written();
    await Promise.all([health.close(), watched?.close(), backends.close(), security.close()]);
  };

  const { port } = server.address() as AddressInfo;
  const url = `${files ? 'wss' : 'ws'}://${config.SALLYPORT_LISTEN.host}:${port}`;
  log.info({ url, healthUrl, name: identity.name, site: identity.site }, 'the Proxy is up');
  const words = (): string => `the Proxy ${identity.name} is up at ${url}\n`;
  const drainMs = Math.max(config.SALLYPORT_DRAIN_MS, config.SALLYPORT_UNREADY_MS);
  return { stop, drainMs, ready: () => ({ message: { url, healthUrl, metricsUrl }, words }) };
}

await runServer({ name: 'proxy', title: 'the Proxy', settings: SETTINGS, start });
