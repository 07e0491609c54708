import {
  type CborFields,
  type CryptoProvider,
  findByAuthority,
  keyOf,
  openRoutes,
  type Route,
  type Routes,
  readRoutes,
  type SessionSecret,
} from '@sallyport/channel';
import type { Resource } from '../gateway/channel.ts';
import type { RoutesMark, StoredSession } from '../kept/record.ts';

/** What a stream is to reach. */
export interface WantedResource {
  readonly kind: 'http' | 'tcp';
  readonly authority: string;
}

/**
 * What the session may reach, and at which sites, in Security's own word (SPEC.md, section 5): no Proxy reads or changes it. Older
 * words than the last change nothing. One per session.
 */
export class HeldRoutes {
  readonly #crypto: CryptoProvider;
  #routes: Routes | undefined;
  #sid = '';
  /** How new the newest were. */
  #mark: RoutesMark | undefined;
  /** What those said whose mark was kept last. */
  #keptText: string | undefined;
  /** Epochs before the one of the routes: none of them comes back. */
  #past = new Set<string>();

  constructor(crypto: CryptoProvider) {
    this.#crypto = crypto;
  }

  /** True once Security has said where resources are; it says nothing where there is one site. */
  get known(): boolean {
    return this.#routes !== undefined;
  }

  /** True where Security could not say all, so that something is at a site of which it did not tell. */
  get more(): boolean {
    return this.#routes?.more ?? false;
  }

  /** All that the session may reach, at every site. */
  get resources(): readonly Resource[] {
    return (this.#routes?.routes ?? []).map(({ sites: _, ...resource }) => resource);
  }

  /** Sites that serve what is wanted, by ranks of equal ones, the most preferred first; undefined when nothing is known of it. */
  sitesOf(wanted: WantedResource): Route['sites'] | undefined {
    return findByAuthority(this.#routes?.routes ?? [], wanted.authority, ({ kind }) => kind === wanted.kind)?.sites;
  }

  /** Other sites that serve something that a site serves, too. */
  besides(site: string): string[] {
    const shared = (this.#routes?.routes ?? [])
      .map(({ sites }) => sites.flat())
      .filter((sites) => sites.includes(site));
    return [...new Set(shared.flat())].filter((other) => other !== site);
  }

  /** Names of the resources that a site serves. */
  servedAt(site: string): string[] {
    return (this.#routes?.routes ?? []).filter(({ sites }) => sites.flat().includes(site)).map(({ name }) => name);
  }

  /** Takes what came sealed through a Proxy. True when it changed something. @throws ChannelError when it is not Security's */
  open(session: StoredSession, sealed: Uint8Array): boolean {
    return this.take(
      session,
      openRoutes(this.#crypto, { secret: keyOf<SessionSecret>(session.secret), sid: session.sid }, sealed),
    );
  }

  /** Takes what stood in the answer to a sign-in. @throws ChannelError when it is malformed */
  read(session: StoredSession, fields: CborFields): boolean {
    return this.take(session, readRoutes(fields));
  }

  /** Takes routes of a session, unless it has newer ones. */
  take(session: StoredSession, routes: Routes): boolean {
    const { epoch, asOf } = routes;
    const before = this.#markOf(session);
    // Who kept words of before a restore could else send the device back and forth.
    if (this.#past.has(epoch)) return false;
    if (before && before.epoch === epoch && asOf < before.asOf) return false;
    if (before && before.epoch !== epoch) this.#past.add(before.epoch);
    this.#mark = { epoch, asOf };
    this.#routes = routes;
    return true;
  }

  /** How new the newest routes of a session were, be it in a process before this one. */
  #markOf({ sid, routes }: StoredSession): RoutesMark | undefined {
    if (sid.join() === this.#sid) return this.#mark;
    this.#sid = sid.join();
    this.#past.clear();
    this.#mark = routes;
    this.#keptText = undefined;
    return this.#mark;
  }

  /** The mark to be kept, where the routes say something else than those of the mark that was kept last; else undefined. */
  markToKeep(): RoutesMark | undefined {
    const text = JSON.stringify(this.#routes?.routes);
    if (text === this.#keptText) return undefined;
    this.#keptText = text;
    return this.#mark;
  }

  /** A session begins: what another one might reach says nothing of it. */
  begin(session: StoredSession | undefined): void {
    if (session?.sid.join() === this.#sid) return;
    this.#routes = undefined;
    this.#sid = '';
  }

  /** The realm has one site now, where everything is: Security says nothing of it any more. */
  forget(): void {
    this.#routes = undefined;
  }
}
