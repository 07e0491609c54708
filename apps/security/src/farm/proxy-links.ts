import type { ProxyKey, ProxyRow } from '@sallyport/access';
import type {
  BackendReason,
  BackendTrouble,
  ResourceInput,
  ResourceTrial,
  TriedBackend,
} from '@sallyport/security-api';

/** What a Proxy tells of its backends is forgotten after so long, ms. */
const TROUBLE_MS = 15_000;
/** A Proxy connects and waits for an answer for less than this, ms. */
const TRIAL_MS = 20_000;
/** Words of the status at most. */
const MAX_WORDS = 32;

const WORDS: Readonly<Record<BackendReason, string>> = {
  name: 'its name is not known',
  port: 'it takes no connections',
  network: 'it lies in no network that the resource names (--network)',
  certificate: 'its certificate is not trusted (--ca)',
  protocol: 'its answers are not HTTP as the resource has it (--http); the log of the Proxy names the rule',
  time: 'it does not answer in time',
  closed: 'it closes the connection before its answer is complete',
  busy: 'all its connections are taken',
};

/** One Proxy's connection to this node, as far as backends are concerned. */
export interface ProxyLink {
  readonly proxy: string;
  /** The key that it showed. */
  readonly keyHash: ProxyKey['keyHash'];
  send(message: object): void;
}

/** The Proxies that are connected to this node: what they say of backends, and trying one by them. One per process. */
export class ProxyLinks {
  readonly #now: () => number;
  readonly #links = new Set<ProxyLink>();
  readonly #troubles = new Map<string, { readonly at: number; readonly troubles: readonly BackendTrouble[] }>();
  readonly #waiting = new Map<number, { readonly link: ProxyLink; answer(tried: TriedBackend | undefined): void }>();
  #nextId = 1;

  /** `now` in ms of a monotonic clock. */
  constructor(now: () => number) {
    this.#now = now;
  }

  add(link: ProxyLink): void {
    this.#links.add(link);
  }

  remove(link: ProxyLink): void {
    this.#links.delete(link);
    for (const waiting of [...this.#waiting.values()]) if (waiting.link === link) waiting.answer(undefined);
  }

  /** What a Proxy's beat says of its backends. */
  told(proxy: string, troubles: readonly BackendTrouble[] = []): void {
    if (troubles.length === 0) this.#troubles.delete(proxy);
    else this.#troubles.set(proxy, { at: this.#now(), troubles });
  }

  /** What is wrong with backends by the Proxies of this node, in words: of each in turn, so that none hides what others say. */
  words(): string[] {
    const since = this.#now() - TROUBLE_MS;
    const told = [...this.#troubles].filter(([, { at }]) => at >= since);
    const lists = told.map(([proxy, { troubles }]) =>
      troubles.map(({ resource, reason }) => `the backend of ${resource} fails at Proxy ${proxy}: ${WORDS[reason]}`),
    );
    return Array.from({ length: MAX_WORDS }, (_, turn) => lists.flatMap((list) => list[turn] ?? []))
      .flat()
      .slice(0, MAX_WORDS);
  }

  /** An answer to a trial; only from the Proxy that was asked. */
  tried(link: ProxyLink, tried: TriedBackend): void {
    const waiting = this.#waiting.get(tried.id);
    if (waiting?.link === link) waiting.answer(tried);
  }

  /** Lets Proxies try a backend, with its secrets: those of `proxies` that are connected to this node. */
  async try(
    { backend, authority }: Pick<ResourceInput, 'backend' | 'authority'>,
    proxies: readonly Pick<ProxyRow, 'name' | 'keyHash' | 'nextKeyHash'>[],
  ): Promise<ResourceTrial['tries']> {
    const may = ({ proxy, keyHash }: ProxyLink): boolean =>
      proxies.some((row) => row.name === proxy && (row.keyHash === keyHash || row.nextKeyHash === keyHash));
    return Promise.all([...this.#links].filter(may).map((link) => this.#tryBy(link, { backend, authority })));
  }

  /** Lets a Proxy renew its certificate now; false for one that is not connected to this node. */
  renew(proxy: string): boolean {
    const links = [...this.#links].filter((link) => link.proxy === proxy);
    for (const link of links) link.send({ type: 'renew' });
    return links.length > 0;
  }

  #tryBy(link: ProxyLink, what: object): Promise<ResourceTrial['tries'][number]> {
    const id = this.#nextId++;
    const { proxy } = link;
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#waiting.get(id)?.answer(undefined), TRIAL_MS);
      this.#waiting.set(id, {
        link,
        answer: (tried) => {
          clearTimeout(timer);
          this.#waiting.delete(id);
          if (!tried) return resolve({ proxy, ok: false, detail: 'the Proxy gave no answer', ms: TRIAL_MS });
          const { ok, reason, detail, ms } = tried;
          resolve({ proxy, ok, ...(reason ? { reason } : {}), detail, ms });
        },
      });
      link.send({ type: 'try', id, ...what });
    });
  }
}
