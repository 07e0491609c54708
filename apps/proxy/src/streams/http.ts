import {
  ChannelError,
  type ChannelStream,
  checkRequest,
  checkTrailers,
  contentLength,
  copyBytes,
  type Field,
  type HttpDecoder,
  type MessageSink,
  type RequestHead,
  requestDecoder,
  SIGNED_CODES,
  type SignedCode,
} from '@sallyport/channel';
import type { ResourceGrant } from '@sallyport/security-api';
import type { BackendRequest } from '../backend/connection.ts';
import type { BackendError } from '../backend/errors.ts';
import type { BackendCall } from '../backend/pool.ts';
import type { Decision } from '../rights.ts';
import { type Exchange, forwardedFor, type StreamHost, type StreamPlace } from './exchange.ts';
import { type Asker, HttpAnswer } from './http-answer.ts';

const NO_BODY_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD']);
/** Methods that usually have no content: they wait for the end of the request, to be sent as what they are. */
const RARE_BODY_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'DELETE']);

/**
 * A stream of kind 1: one HTTP request and its response (SPEC.md, section 7). This is the way to the backend;
 * `HttpAnswer` is the way back.
 */
export class HttpExchange implements Exchange, MessageSink<RequestHead>, Asker {
  readonly #host: StreamHost;
  readonly #stream: ChannelStream;
  readonly #decoder: HttpDecoder;
  #head: RequestHead | undefined;
  #fields: readonly Field[] = [];
  /** Declared bytes of the content. */
  #declared: number | undefined;
  #early: Uint8Array[] = [];
  #received = 0;
  #uncredited = 0;
  #requestDone = false;
  #asked = false;
  #begun = false;
  #call: BackendCall | undefined;
  #over = false;

  constructor({ host, stream }: StreamPlace) {
    this.#host = host;
    this.#stream = stream;
    this.#decoder = requestDecoder(this);
  }

  // What the channel tells: bytes of the device.

  data(bytes: Uint8Array): void {
    if (this.#over) return this.#stream.consume(bytes.length);
    const before = this.#received;
    this.#guarded(() => this.#decoder.push(bytes));
    // Content is given back when the backend takes it, everything else at once.
    this.#stream.consume(bytes.length - (this.#received - before));
    // Only now: most requests end in the same record, and go out with their length or as having no content.
    if (this.#head && !this.#asked && !this.#over && this.#known(this.#head)) this.#ask(this.#head);
  }

  end(): void {
    if (!this.#over) this.#guarded(() => this.#decoder.finish());
  }

  reset(): void {
    this.#over = true;
    this.#stop();
  }

  drain(): void {
    this.#call?.resume();
  }

  recheck(): void {
    const decision = this.#call && !this.#over && this.#head ? this.#decide(this.#head) : undefined;
    if (decision && 'refused' in decision) this.refuse(decision.refused);
  }

  // What the decoder of the request tells.

  head(head: RequestHead): void {
    this.#fields = checkRequest(head);
    this.#declared = contentLength(this.#fields);
    this.#head = head;
  }

  content(bytes: Uint8Array): void {
    this.#received += bytes.length;
    if (this.#declared !== undefined && this.#received > this.#declared) {
      throw new ChannelError('ERR_CHANNEL_HTTP_REFUSED', 'more content than declared');
    }
    if (!this.#begun) this.#early.push(copyBytes(bytes));
    else if (!this.#host.mayServe()) this.refuse('LEASE_LOST');
    else this.#pass(bytes);
  }

  trailers(trailers: readonly Field[]): void {
    checkTrailers(trailers);
    if (this.#declared !== undefined && this.#declared !== this.#received) {
      throw new ChannelError('ERR_CHANNEL_HTTP_REFUSED', 'less content than declared');
    }
    this.#requestDone = true;
    if (this.#begun) this.#call?.finish();
  }

  // What the answer asks and tells.

  get over(): boolean {
    return this.#over;
  }

  mayServe(): boolean {
    return this.#host.mayServe();
  }

  mayBegin(): boolean {
    if (this.#over) return false;
    // The request may have waited for a connection: the lease may have ended meanwhile.
    if (this.#host.mayServe()) return true;
    this.refuse('LEASE_LOST');
    return false;
  }

  begun(): void {
    this.#begun = true;
    for (const bytes of this.#early) this.#pass(bytes);
    this.#early = [];
    if (this.#requestDone) this.#call?.finish();
  }

  room(): void {
    this.#stream.consume(this.#uncredited);
    this.#uncredited = 0;
  }

  full(): void {
    this.#call?.pause();
  }

  done(): void {
    this.#over = true;
    this.#host.count('http', 'done');
    this.#stream.settle();
  }

  refuse(code: SignedCode): void {
    if (this.#over) return;
    this.#over = true;
    this.#host.count('http', code);
    this.#stream.reset(SIGNED_CODES[code]);
    this.#stop();
  }

  failed(error: BackendError): void {
    if (!this.#over) this.#host.backendFailed(this.#head?.authority ?? '', error);
  }

  /** Bad input of this stream ends this stream; the channel goes on. */
  #guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (!(error instanceof ChannelError)) throw error;
      this.refuse('REQUEST_REFUSED');
    }
  }

  /** True when it is known whether there is content. */
  #known({ method }: RequestHead): boolean {
    return this.#requestDone || this.#declared !== undefined || this.#received > 0 || !RARE_BODY_METHODS.has(method);
  }

  #ask(head: RequestHead): void {
    this.#asked = true;
    this.#host.whenReady(() => {
      if (!this.#over) this.#dispatch(head);
    });
  }

  #decide({ authority, method, path }: RequestHead): Decision {
    return this.#host.decide({ kind: 'http', authority, method, path });
  }

  #dispatch(head: RequestHead): void {
    const decision = this.#decide(head);
    if ('refused' in decision) return this.refuse(decision.refused);
    if (!this.#host.mayServe()) return this.refuse('LEASE_LOST');
    try {
      const pool = this.#host.backends.pool(decision.resource.backend);
      this.#call = pool.call(this.#requestFor(head, decision.resource), new HttpAnswer(this, this.#stream));
      this.#call.send();
    } catch {
      // Nothing was sent: the backend's address is not allowed or not even an address.
      this.refuse('BACKEND_UNREACHABLE');
    }
  }

  /** The Proxy alone says where the request goes, for whom, and from where it came. */
  #requestFor({ method, path }: RequestHead, { authority, assertion, delegated }: ResourceGrant): BackendRequest {
    const fields: Field[] = [
      ...ownFields(this.#fields, delegated),
      ['forwarded', forwardedFor(this.#host.deviceAddress)],
    ];
    if (assertion !== undefined) fields.push(['sallyport-assertion', assertion]);
    if (this.#declared !== undefined) return { method, path, authority, fields, content: 'length' };
    if (!this.#requestDone) return { method, path, authority, fields, content: 'chunked' };
    if (this.#received === 0 && NO_BODY_METHODS.has(method))
      return { method, path, authority, fields, content: 'none' };
    fields.push(['content-length', String(this.#received)]);
    return { method, path, authority, fields, content: 'length' };
  }

  /** Content to the backend; its credit goes back when the socket has room, so what is held is bounded by the window. */
  #pass(bytes: Uint8Array): void {
    this.#uncredited += bytes.length;
    if (this.#call?.write(bytes)) this.room();
  }

  /** Ends the work for the stream; without any it is settled at once. */
  #stop(): void {
    if (this.#call) this.#call.abort();
    else this.#stream.settle();
  }
}

/** Where a token was delegated, it stands in Authorization, whatever the device wrote there. */
function ownFields(fields: readonly Field[], delegated: string | undefined): readonly Field[] {
  if (delegated === undefined) return fields;
  return [...fields.filter(([name]) => name !== 'authorization'), ['authorization', `Bearer ${delegated}`]];
}
