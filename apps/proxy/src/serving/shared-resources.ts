import type { Grant, ResourceGrant } from '@sallyport/security-api';

const MAX_KNOWN = 4_096;

/** What the grants of many sessions have in common. */
type Shared = Omit<ResourceGrant, 'assertion' | 'delegated'>;

/**
 * Resources are the same in the grants of many sessions, but for the assertion that names the user: equal ones share their
 * parts, so that a session costs memory only for what is its own. One per process.
 */
export class SharedResources {
  readonly #known = new Map<string, Shared>();

  /** The same grant, with shared parts. */
  share(grant: Grant): Grant {
    return { ...grant, resources: grant.resources.map((resource) => this.#shared(resource)) };
  }

  #shared({ assertion, delegated, ...resource }: ResourceGrant): ResourceGrant {
    const key = JSON.stringify(resource);
    const known = this.#known.get(key) ?? this.#keep(key, resource);
    const own = {
      ...(assertion === undefined ? {} : { assertion }),
      ...(delegated === undefined ? {} : { delegated }),
    };
    return Object.keys(own).length === 0 ? known : { ...known, ...own };
  }

  #keep(key: string, resource: Shared): Shared {
    if (this.#known.size >= MAX_KNOWN) this.#known.clear();
    this.#known.set(key, resource);
    return resource;
  }
}
