import { readFileSync } from 'node:fs';
import type { StartWait } from '@sallyport/http-service';
import {
  certificateEndsAt,
  joinAsPod,
  loadIdentity,
  type ProxyIdentity,
  storeIdentity,
} from '@sallyport/security-client';
import type { Config } from './config.ts';
import { keptJoinKey } from './join-key.ts';

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
 * The identity of the Proxy in this pod: the one that is kept, or a new certificate. Security knows one key of each pod. Waits while
 * Security does not answer.
 * @throws SecurityClientError ERR_SECURITY_REFUSED
 */
export async function openPodIdentity(file: string, pod: PodSettings, wait: StartWait): Promise<ProxyIdentity> {
  const known = loadIdentity(file);
  if (known && certificateEndsAt(known) > Date.now()) return known;
  const key = known?.key ?? (await keptJoinKey(file));
  const { tokenFile, urls, caFile } = pod;
  const identity = await wait.through(() => {
    const [token, ca] = [readFileSync(tokenFile, 'utf8').trim(), readFileSync(caFile, 'utf8')];
    return joinAsPod({ urls, ca, token, key });
  });
  storeIdentity(file, identity);
  return identity;
}
