import type { Backend } from '@sallyport/security-api';

/** The gateway's own credentials for a backend, as Authorization has them (RFC 7617); undefined when it has none. */
export function basicOf({ basic }: Pick<Backend, 'basic'>): string | undefined {
  if (basic?.password === undefined) return undefined;
  return `Basic ${Buffer.from(`${basic.user}:${basic.password}`).toString('base64')}`;
}
