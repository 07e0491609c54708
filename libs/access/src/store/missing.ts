import { AccessError } from './errors.ts';

/** What operators name, and the command that lists what there is. */
const LISTED = {
  user: 'user list',
  group: 'group list',
  resource: 'resource list',
  policy: 'policy list',
  site: 'site list',
  app: 'app list',
  release: 'app releases',
  Proxy: 'proxy list',
  operator: 'operator list',
  directory: 'directory list',
  installation: 'installation list',
  session: 'session list',
} as const;

/** The error for a name that an operator gave and that nothing has. */
export function missing(kind: keyof typeof LISTED, name: string): AccessError {
  return new AccessError('ERR_ACCESS_NOT_FOUND', `no ${kind} ${name}: "sallyport ${LISTED[kind]}" shows them all`);
}
