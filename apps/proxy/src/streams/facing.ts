import type { RequestHead } from '@sallyport/channel';
import type { Backend } from '@sallyport/security-api';
import type { Judge } from '../serving/gate.ts';
import type { Decision } from '../serving/rights.ts';
import type { Facing } from './answered-fields.ts';

/** What was asked for, of whom. */
export interface AskedFor {
  readonly head: RequestHead;
  readonly backend: Backend;
  /** URL of the server that was asked, where it is known. */
  readonly server?: string | undefined;
}

/** How a backend looks to who asked it. */
export function facingOf(judge: Pick<Judge, 'decide'>, { head, backend, server }: AskedFor): Facing {
  const { authority, method, path, scheme } = head;
  const wanted = { kind: 'http', method: 'GET', path: '/' } as const;
  return {
    scheme: backend.publicScheme ?? scheme,
    authority,
    path: method === 'GET' || method === 'HEAD' ? path : undefined,
    urls: urlsOf(backend, server),
    prefix: backend.prefix ?? '',
    isResource: (other) => isKnown(judge.decide({ ...wanted, authority: other })),
  };
}

/** Where a backend says that it is: its servers, the one that was asked among them, and the Host that it is told. */
function urlsOf({ url, servers = [], host }: Backend, asked = url): string[] {
  const named = host === undefined ? [] : namesOf(host, [asked, url, ...servers.map((server) => server.url)]);
  return [asked, ...(asked === url ? [] : [url]), ...servers.map((server) => server.url), ...named];
}

/** What a backend may call itself that is told another host: that, also with the port at which it is asked. */
function namesOf(host: string, urls: readonly string[]): string[] {
  const bare = host.replace(/:[0-9]+$/, '');
  return urls.flatMap((url) => {
    const [, scheme, port = ''] = /^([a-z]+):\/\/.*?(:[0-9]+)?$/.exec(url) ?? [];
    return [`${scheme}://${host}`, `${scheme}://${bare}${port}`];
  });
}

/** True when something was found, whether or not it opens now. */
function isKnown(decision: Decision): boolean {
  return !('refused' in decision && decision.refused === 'RESOURCE_UNKNOWN');
}
