import type { Grant, RevocationEntry } from '@sallyport/security-api';

/** What of a channel an entry can hit. */
export interface Revocable {
  readonly grant: Pick<Grant, 'sid' | 'installationId' | 'userId' | 'sessionCreatedAt' | 'app' | 'generation'>;
  /** `id@version` that the device claims at the moment. */
  readonly app: string;
}

/** `end`: the session is over. `refuse`: it goes on, but not with what the channel claims. Both end the channel at once. */
export type Effect = 'end' | 'refuse' | 'reauthorise';

/**
 * What an entry does to a channel: end it, make the Proxy read its rights again, or nothing. It is held against what the
 * grant names; what a device claims can only add to that.
 */
export function effectOn(entry: Pick<RevocationEntry, 'kind' | 'subject'>, channel: Revocable): Effect | undefined {
  const { grant } = channel;
  switch (entry.kind) {
    case 'session':
      return entry.subject === grant.sid ? 'end' : undefined;
    case 'installation':
      return entry.subject === grant.installationId ? 'end' : undefined;
    case 'user':
    case 'credentials':
      return entry.subject === grant.userId ? 'end' : undefined;
    case 'app':
      if (entry.subject === grant.app) return 'end';
      if (entry.subject === channel.app) return 'refuse';
      // What the channel says next may be this version.
      return isOfApp(entry.subject, grant.app) ? 'reauthorise' : undefined;
    case 'generation':
      return grant.generation < Number(entry.subject) ? 'end' : undefined;
    case 'lift':
      return isOfApp(entry.subject, grant.app) ? 'reauthorise' : undefined;
    case 'proxy':
      return undefined;
    case 'before':
      return grant.sessionCreatedAt < Number(entry.subject) ? 'end' : undefined;
    case 'rights':
      return entry.subject === '*' || entry.subject === grant.userId ? 'reauthorise' : undefined;
  }
}

/** True for two versions of one app. */
function isOfApp(version: string, other: string): boolean {
  return version.slice(0, version.lastIndexOf('@')) === other.slice(0, other.lastIndexOf('@'));
}
