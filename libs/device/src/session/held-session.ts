import type { AppContext, CborFields, CryptoProvider, EndCause, SignedCode } from '@sallyport/channel';
import { DeviceError, messageOf, remoteError } from '../errors.ts';
import { type GatewayChannel, type Resource, readResources } from '../gateway/channel.ts';
import type { WebSocketFactory } from '../gateway/socket.ts';
import type { KeptRecord } from '../kept/kept-record.ts';
import { type DeviceRecord, type StoredSession, sameSession } from '../kept/record.ts';
import { Connection, type ConnectionHost } from './connection.ts';
import type { DeviceEvents, DeviceState } from './events.ts';
import { endingSession, SessionEnds } from './session-end.ts';
import { askStanding } from './session-standing.ts';

/** How long a sign-out waits for Security to confirm it, ms. */
const END_PATIENCE_MS = 5_000;

/** What a session needs of its device, and what it tells it. */
export interface SessionHost {
  readonly crypto: CryptoProvider;
  readonly webSocket: WebSocketFactory;
  readonly context: () => AppContext;
  /** How long somebody waits for a gateway before it counts as offline, ms. */
  readonly patienceMs: number;
  readonly kept: KeptRecord;
  stands(state: DeviceState): void;
  resources(resources: readonly Resource[]): void;
  emit<Name extends 'expiry' | 'ended' | 'notice'>(name: Name, event: DeviceEvents[Name]): void;
}

/**
 * The session of a device, whoever began it: keeps a channel for it while somebody wants one, hears its end, goes on with the one that
 * another process began in the same storage, and ends at Security those that were signed out of.
 */
export class HeldSession {
  readonly #host: SessionHost;
  readonly #connection: Connection;
  readonly #ends: SessionEnds;

  constructor(host: SessionHost) {
    this.#host = host;
    this.#connection = new Connection(this.#connectionHost);
    if (this.#record?.session) this.begin(this.#record.session.reservedChanNo);
    const { crypto, webSocket, kept } = host;
    this.#ends = new SessionEnds({
      crypto,
      webSocket,
      record: () => kept.known,
      change: (change) => kept.change(change),
      replaced: () => this.channel !== undefined,
    });
    if (this.#record?.ending) void this.#ends.tell();
  }

  /** The channel that stands; undefined while none does. */
  get channel(): GatewayChannel | undefined {
    return this.#connection.channel;
  }

  /** True while a channel stands or is sought. */
  get wanted(): boolean {
    return this.#connection.wanted;
  }

  /** What is said while nothing is sought. */
  get restState(): 'new' | 'signed-out' | 'offline' {
    if (this.#record?.iid === undefined) return 'new';
    return this.#record.session ? 'offline' : 'signed-out';
  }

  /** A channel that takes new streams. @throws DeviceError SIGNED_OUT, CLOSED, OFFLINE, or why no Proxy opens one */
  async usableChannel(): Promise<GatewayChannel> {
    // Another process may have signed in, with the same storage.
    if (!this.#record?.session && this.#record?.iid !== undefined) await this.#adopt();
    if (!this.#record?.session) throw this.#signedOut();
    return this.#connection.usable();
  }

  /** A session begins: numbers of channels up to the reserved one may have been used. */
  begin(reservedChanNo: number): void {
    this.#connection.begin(reservedChanNo);
  }

  /** Looks for a channel, if there is a session. */
  seek(): void {
    if (this.#record?.session) this.#connection.seek();
  }

  /** Closes the channel, or calls off the search for one; the session stays. */
  drop(reason?: DeviceError): void {
    this.#connection.drop(reason);
  }

  /** The network changed or the device woke up: finds out at once what still stands. */
  networkChanged(): void {
    this.#connection.networkChanged();
  }

  /** Ends the session: here at once, at Security within some seconds, or else at the next contact. */
  async end(): Promise<void> {
    await this.#host.kept.change((stored) => endingSession(this.#host.crypto, stored));
    this.#host.stands(this.restState);
    await Promise.race([this.#ends.tell(), new Promise((resolve) => setTimeout(resolve, END_PATIENCE_MS))]);
  }

  /** Tells Security no more of sessions that are to end. */
  stopEnds(): void {
    this.#ends.stop();
  }

  get #record(): DeviceRecord | undefined {
    return this.#host.kept.known;
  }

  get #connectionHost(): ConnectionHost {
    const { crypto, webSocket, context, patienceMs, kept } = this.#host;
    return {
      crypto,
      webSocket,
      context,
      patienceMs,
      record: () => kept.known,
      changeSession: (session, change) => kept.changeSession(session, change),
      reached: (reach) => this.#host.stands(reach),
      opened: (channel) => {
        this.#host.resources(channel.resources);
        this.#host.emit('expiry', { expiresInMs: channel.expiresInMs });
        if (this.#record?.ending) void this.#ends.tell();
      },
      notice: (notice) => this.#notice(notice),
      standing: (session) => askStanding({ crypto, webSocket }, this.#record!, session),
      over: (code, session, cause) => void this.#over(code, session, cause),
    };
  }

  #signedOut(): DeviceError {
    const end = this.#record?.ended as DeviceEvents['ended'] | undefined;
    const why = end ? `: ${messageOf(end.code, end.cause)}` : '';
    return new DeviceError('SIGNED_OUT', `nobody is signed in${why}`);
  }

  /** Takes over what is stored. */
  async #adopt(): Promise<void> {
    await this.#host.kept.change((stored) => stored).catch(() => undefined);
    const session = this.#record?.session;
    if (session) this.begin(session.reservedChanNo);
  }

  #notice(notice: CborFields): void {
    if (notice.has('resources')) this.#host.resources(readResources(notice));
    const text = notice.optionalText('text', 1_024);
    if (text !== undefined) this.#host.emit('notice', { text });
  }

  /**
   * A session is over, in the word of Security or of the Proxy of its channel: the device forgets it. Another process may have
   * begun a new one: the device goes on with that.
   */
  async #over(code: SignedCode, session: StoredSession, cause: EndCause | undefined): Promise<void> {
    const error = remoteError(code, { mayHaveRun: false, cause });
    const ended = { code, ...(cause ? { cause } : {}) };
    this.#host.stands('connecting');
    await this.#host.kept
      .change((stored) => {
        if (!sameSession(stored.session, session)) return stored;
        return { ...withoutSession(stored), ended };
      })
      .catch(() => undefined);
    const now = this.#record?.session;
    if (now && !sameSession(now, session)) {
      this.begin(now.reservedChanNo);
      return this.#connection.retry();
    }
    this.drop(error);
    this.#host.stands(this.#record?.iid === undefined ? 'new' : 'signed-out');
    this.#host.emit('ended', ended);
  }
}

function withoutSession({ session: _, ...rest }: DeviceRecord): DeviceRecord {
  return rest;
}
