import { type AccessContext, listSites } from '@sallyport/access';
import { ProblemError } from '@sallyport/http-service';

/** Where links lead unless said otherwise: to the first Proxy of the realm's first site that has one. @throws ProblemError ERR_SECURITY_NO_SITE */
export async function installOrigin(access: AccessContext): Promise<string> {
  const [origin] = (await listSites(access)).flatMap(({ origins }) => origins);
  if (origin === undefined)
    throw new ProblemError('ERR_SECURITY_NO_SITE', 'no site has a Proxy that a link could lead to: sallyport site put');
  return webOriginOf(origin);
}

/** Proxies are named by how devices reach them, `wss://host`; people reach the same by `https://host`. */
export function webOriginOf(origin: string): string {
  return origin.replace(/^ws/, 'http');
}
