import { existsSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  certificateEndsAt,
  joinAsPod,
  loadIdentity,
  newProxyKey,
  type ProxyIdentity,
  storeIdentity,
} from '@sallyport/security-client';
import { replacePrivateFile } from '@sallyport/settings';
import type { Log } from '@sallyport/telemetry';
import type { Config } from './config.ts';

/** Between two tries while Security does not answer, ms. */
const PAUSE_MS = 2_000;

/** How a pod joins: by the token of its service account instead of one that an operator makes. */
export interface PodSettings {
  /** File of the token; it is read anew for each try, because the cluster renews it. */
  readonly tokenFile: string;
  readonly urls: readonly string[];
  /** PEM file: the internal CA. */
  readonly caFile: string;
}

/** How this pod joins; undefined where there is no pod. @throws Error when a setting for it is missing */
export function podSettings(config: Config): PodSettings | undefined {
  const { SALLYPORT_JOIN_ACCOUNT_TOKEN: tokenFile, SALLYPORT_SECURITY_URLS: urls } = config;
  const { SALLYPORT_SECURITY_CA: caFile } = config;
  if (!tokenFile) return undefined;
  if (urls.length === 0 || !caFile)
    throw new Error('SALLYPORT_JOIN_ACCOUNT_TOKEN needs SALLYPORT_SECURITY_URLS and SALLYPORT_SECURITY_CA');
  return { tokenFile, urls, caFile };
}

/**
 * The identity of the Proxy in this pod: the one that is kept, or a new certificate. The key is on the disk before Security hears
 * of it, because Security knows one key of each pod. Waits while Security does not answer.
 * @throws SecurityClientError ERR_SECURITY_REFUSED
 */
export async function openPodIdentity(file: string, pod: PodSettings, log: Log): Promise<ProxyIdentity> {
  const known = loadIdentity(file);
  if (known && certificateEndsAt(known) > Date.now()) return known;
  const key = known?.key ?? (await keptKey(`${file}.key`));
  const identity = await joinInTime(pod, key, log);
  storeIdentity(file, identity);
  return identity;
}

async function keptKey(file: string): Promise<string> {
  if (!existsSync(file)) replacePrivateFile(file, await newProxyKey());
  return readFileSync(file, 'utf8');
}

async function joinInTime({ tokenFile, urls, caFile }: PodSettings, key: string, log: Log): Promise<ProxyIdentity> {
  for (;;) {
    try {
      const [token, ca] = [readFileSync(tokenFile, 'utf8').trim(), readFileSync(caFile, 'utf8')];
      return await joinAsPod({ urls, ca, token, key });
    } catch (error) {
      if ((error as { code?: string }).code !== 'ERR_SECURITY_UNREACHABLE') throw error;
      log.warn({ err: error }, 'Security does not answer yet: this pod waits to join');
    }
    await sleep(PAUSE_MS);
  }
}
