import { DEFAULT_MIN_VERSION } from 'node:tls';

/**
 * Node takes any certificate of anybody when a variable of the environment says so, and old TLS by an option. There is no way to run
 * Sallyport like that, not even for a test: name the CA instead.
 * @throws Error saying what to take away
 */
export function assertVerifying(
  environment: Readonly<Record<string, string | undefined>> = process.env,
  minVersion: string = DEFAULT_MIN_VERSION,
): void {
  if (environment['NODE_TLS_REJECT_UNAUTHORIZED'] === '0')
    throw new Error(
      'NODE_TLS_REJECT_UNAUTHORIZED=0 lets anybody pretend to be every server: take it away, and name the CA that is to be trusted',
    );
  if (minVersion !== 'TLSv1.2' && minVersion !== 'TLSv1.3')
    throw new Error(
      `Node is told to speak ${minVersion}, which is broken: take --tls-min-v1.0 and --tls-min-v1.1 away`,
    );
}
