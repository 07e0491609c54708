import type { EndCause } from '@sallyport/channel';
import type { DeviceErrorCode } from '../errors.ts';
import type { Resource } from '../gateway/channel.ts';
import type { AppUpdate } from '../updates/app-updates.ts';

/**
 * How a device that has a session reaches the gateway: `silent` means that a channel stands, somebody waits, and nothing was heard
 * for seconds; `suspended` that the Proxy waits for its Security server; `offline` that no gateway can be reached.
 */
export type Reach = 'connecting' | 'connected' | 'silent' | 'suspended' | 'offline';

/** A site of the realm, as this device sees it. */
export interface SeenSite {
  /** Name of the site. */
  readonly name: string;
  /** What people call it. */
  readonly title: string;
  /** How it is reached; `unused` while no channel there is needed. */
  readonly reach: Reach | 'unused';
  /** Origin of the Proxy with which a channel stands. */
  readonly origin?: string;
  /** What was measured of its nearest Proxy in this network, ms; absent when it was not measured. */
  readonly connectMs?: number;
  /** How long a ping took there, ms; absent when it was not measured. */
  readonly pingMs?: number;
  /** Names of the resources that it serves to this session; empty while that is not known. */
  readonly resources: readonly string[];
}

/**
 * Where a device stands. `connected` is said only while a channel stands, its Proxy may serve, and it has not been silent for some
 * seconds while somebody waits. `offline` means: there is a session, and no gateway can be reached, or nobody has asked for one yet;
 * it ends by itself. `signed-out` is said only when no session goes on.
 */
export type DeviceState = 'new' | 'signed-out' | Reach | 'closed';

/** What a device tells its app. */
export interface DeviceEvents {
  /** The device stands elsewhere than before. */
  state: {
    /** Where it stands now. */
    readonly state: DeviceState;
  };
  /** What the user may reach, whole, whenever the Proxy says so. */
  resources: {
    /** All that the user may reach now. */
    readonly resources: readonly Resource[];
  };
  /** A look for updates has found one that is rolled out to this device. */
  'update-available': {
    /** The release, as it is signed. */
    readonly update: AppUpdate;
  };
  /**
   * A look for updates has found that the running version is served until a moment only, or a sign-in that it is served nothing but its
   * update any more.
   */
  'update-required': {
    /** Until when, epoch ms of the gateway; 0 where a sign-in says it. */
    readonly until: number;
  };
  /** How a site is reached has changed; `sites` has all of them. */
  site: {
    /** Name of the site. */
    readonly name: string;
    /** How it is reached now; `unused` when no channel there is needed any more. */
    readonly reach: Reach | 'unused';
  };
  /** Something came that is not what it should be, and was left out: a defect of a gateway, or somebody on the way. */
  ignored: {
    /** What it should be. */
    readonly what: 'routes' | 'site map';
    /** Why it was left out. */
    readonly why: string;
  };
  /** Said at every connect: when the session will end, in ms from now. */
  expiry: {
    /** Ms until the session ends. */
    readonly expiresInMs: number;
  };
  /** The session is over, in the word of Security; `code` says how, `cause` why: `messageOf` has words for both. Sign in again. */
  ended: {
    /** How it ended: REVOKED, SESSION_EXPIRED and others. */
    readonly code: DeviceErrorCode;
    /** What was revoked or ran out; absent in records that an older version has kept. */
    readonly cause?: EndCause;
  };
  /** Words of the gateway for people, at most 1,024 characters. */
  notice: {
    /** What to show. */
    readonly text: string;
  };
}

/** Who listens to a device. */
export class Listeners {
  readonly #listeners = new Map<string, Set<(event: never) => void>>();

  /** Listens to an event; gives the function that stops listening. */
  on<Name extends keyof DeviceEvents>(name: Name, listener: (event: DeviceEvents[Name]) => void): () => void {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners);
    listeners.add(listener as (event: never) => void);
    return () => listeners.delete(listener as (event: never) => void);
  }

  /** Tells everybody who listens. */
  emit<Name extends keyof DeviceEvents>(name: Name, event: DeviceEvents[Name]): void {
    for (const listener of this.#listeners.get(name) ?? []) (listener as (event: DeviceEvents[Name]) => void)(event);
  }
}
