import { hostname } from 'node:os';
import type { ListenAddress } from '@sallyport/settings';
import type { Config } from '../config.ts';

/** What a node is called, and where it is reached. */
export interface NodePlace {
  readonly id: string;
  readonly proxyUrl: string;
  readonly adminUrl: string;
  /** Where SCIM clients and OpenID providers reach it; undefined when they do not. */
  readonly directoryUrl: string | undefined;
}

/** The name and the places of this node. */
export function placeOf(config: Config): NodePlace {
  const proxyUrl = config.SALLYPORT_PROXY_URL ?? urlOf(config.SALLYPORT_PROXY_LISTEN);
  const directory = config.SALLYPORT_DIRECTORY_LISTEN;
  return {
    id: config.SALLYPORT_NODE ?? `${hostname()}:${new URL(proxyUrl).port}`,
    proxyUrl,
    adminUrl: config.SALLYPORT_ADMIN_URL ?? urlOf(config.SALLYPORT_ADMIN_LISTEN),
    directoryUrl: config.SALLYPORT_DIRECTORY_URL ?? (directory && urlOf(directory)),
  };
}

/** The URL under which a listener will be reached. */
function urlOf({ host, port }: ListenAddress): string {
  return `https://${host.includes(':') ? `[${host}]` : host}:${port}`;
}
