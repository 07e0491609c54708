import type { Grant, ResourceGrant } from '@sallyport/security-api';

const MAX_KNOWN = 4_096;

/**
 * Resources are the same in the grants of many sessions, but for the assertion that names the user: equal ones share their
 * parts, so that a session costs memory only for what is its own. One per process.
 */
export class SharedResources {
  readonly #known = new Map<string, Omit<ResourceGrant, 'assertion'>>();

  /** The same grant, with shared parts. */
  share(grant: Grant): Grant {
    return { ...grant, resources: grant.resources.map((resource) => this.#shared(resource)) };
  }

  #shared({ assertion, ...resource }: ResourceGrant): ResourceGrant {
    const key = JSON.stringify(resource);
    const known = this.#known.get(key) ?? this.#keep(key, resource);
    return assertion === undefined ? known : { ...known, assertion };
  }

  #keep(key: string, resource: Omit<ResourceGrant, 'assertion'>): Omit<ResourceGrant, 'assertion'> {
    if (this.#known.size >= MAX_KNOWN) this.#known.clear();
    this.#known.set(key, resource);
    return resource;
  }
}
