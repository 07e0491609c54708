import { getDomain } from 'tldts';

/**
 * Where the phone page lives: the shell, which holds keys and session, at one origin, and each resource at one of its own, made
 * from a pattern whose `*` stands for one label of the host.
 */
export interface PhoneOrigins {
  readonly shell: string;
  readonly resources: string;
}

/** Which of the two a request is for. */
export type Part = 'shell' | 'resource';

const PATTERN = /^https?:\/\/\*\.[a-z0-9.-]+(?::[1-9][0-9]{0,4})?$/;
const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/**
 * Checks origins as an operator writes them. @throws TypeError saying what is wrong: a shell inside of the pattern would share an
 * origin with a resource, and plain http keeps service workers away anywhere but on this machine.
 */
export function parsePhoneOrigins(shell: string, resources: string): PhoneOrigins {
  if (URL.parse(shell)?.origin !== shell) throw new TypeError(`${shell} is no origin like https://phone.example.com`);
  if (!PATTERN.test(resources)) throw new TypeError(`${resources} is no pattern like https://*.apps.example.com`);
  for (const url of [shell, resources]) {
    if (!isSecure(url)) throw new TypeError(`${url} is not https, and not on this machine`);
  }
  if (siteOf(shell) !== siteOf(resources))
    throw new TypeError(`${shell} and ${resources} are not of one site: browsers would keep their frames from working`);
  if (matchesPattern(hostOf(shell), resources))
    throw new TypeError(`the phone page's own origin ${shell} must not fit the pattern ${resources} of resources`);
  return { shell, resources };
}

/** What a Host header asks for; undefined for any other host. */
export function partOf(host: string | undefined, { shell, resources }: PhoneOrigins): Part | undefined {
  if (host === undefined) return undefined;
  if (host === hostOf(shell)) return 'shell';
  return matchesPattern(host, resources) ? 'resource' : undefined;
}

/** `localhost:8480` for a shell at `phone.localhost:8480`; undefined for one that is not on this machine. */
export function plainHostOf({ shell }: PhoneOrigins): string | undefined {
  return /^http:\/\/[a-z0-9-]+\.(localhost(?::\d+)?)$/.exec(shell)?.[1];
}

function matchesPattern(host: string, resources: string): boolean {
  const rest = hostOf(resources).slice(1);
  return host.endsWith(rest) && LABEL.test(host.slice(0, -rest.length));
}

/** The registrable domain: frames of another site have no service workers where third-party storage is blocked. */
function siteOf(origin: string): string | null {
  return getDomain(hostOf(origin).replace('*.', 'any.'), { allowPrivateDomains: true });
}

function hostOf(origin: string): string {
  return origin.slice(origin.indexOf('//') + 2);
}

function isSecure(url: string): boolean {
  const name = hostOf(url).replace(/:\d+$/, '');
  return url.startsWith('https:') || name === 'localhost' || name.endsWith('.localhost') || name === '127.0.0.1';
}
