import {
  ChannelError,
  type ChannelStream,
  checkRequest,
  checkTrailers,
  contentLength,
  type Field,
  type HttpDecoder,
  type MessageSink,
  mayHaveContent,
  passedTrailers,
  type RequestHead,
  requestDecoder,
  type SignedCode,
} from '@sallyport/channel';
import type { ResourceGrant } from '@sallyport/security-api';
import type { BackendRequest } from '../backend/connection.ts';
import { type BackendError, wordsOf } from '../backend/errors.ts';
import type { BackendPool } from '../backend/pool.ts';
import type { BackendAsker } from '../backend/pool-source.ts';
import type { PooledCall } from '../backend/pooled-call.ts';
import type { Tenant } from '../backend/tenant.ts';
import { Gate, type Passer } from '../serving/gate.ts';
import type { Facing } from './answered-fields.ts';
import { secondPath } from './dav-fields.ts';
import { type Exchange, resetRefused, type StreamHost, type StreamPlace } from './exchange.ts';
import { facingOf } from './facing.ts';
import { HeadMemory } from './head-memory.ts';
import { type Asker, codeOf, HttpAnswer } from './http-answer.ts';
import { RequestContent } from './request-content.ts';
import { requestFields } from './request-fields.ts';

const NO_FIELDS: readonly Field[] = [];

/** True for a failure after which certainly nothing was sent, and another server may be better. */
function isNotThere({ code }: BackendError): boolean {
  return code === 'ERR_BACKEND_UNREACHABLE' || code === 'ERR_BACKEND_ADDRESS';
}

/**
 * Where a request is: its head is not all there, or not whether it has content; it waits for rights or a connection; its head is out
 * on a connection; all of it is; the stream is at its end.
 */
type Phase = 'head' | 'waiting' | 'sending' | 'sent' | 'over';

/** What may be done with a call without writing to its backend. */
type CallFlow = Pick<PooledCall, 'pause' | 'resume' | 'abort'>;

/**
 * A stream of kind 1: one HTTP request and its response (SPEC.md, section 7). This is the way to the backend;
 * `HttpAnswer` is the way back.
 */
export class HttpExchange implements Exchange, Passer<PooledCall>, MessageSink<RequestHead>, Asker, BackendAsker {
  readonly #host: StreamHost;
  readonly #stream: ChannelStream;
  /** Until the request is complete: what waits for its answer, often hundreds at once, is kept small. */
  #decoder: HttpDecoder | undefined;
  #head: RequestHead | undefined;
  #gate: Gate<PooledCall, CallFlow> | undefined;
  #phase: Phase = 'head';
  /** Declared bytes of the content. */
  #declared: number | undefined;
  #content: RequestContent | undefined;
  #received = 0;
  /** Memory of a head that came in parts. */
  #headMemory: HeadMemory | undefined;
  /** All of the request has come. */
  #complete = false;
  #trailers: readonly Field[] = NO_FIELDS;
  #pool: BackendPool | undefined;
  /** What went to the pool has no content. */
  #bare = false;
  /** Servers that could not be reached. */
  #tried: Set<BackendPool> | undefined;

  constructor({ host, stream }: StreamPlace) {
    this.#host = host;
    this.#stream = stream;
    this.#decoder = requestDecoder(this, 'chunks', host.headLimits);
  }

  // What the channel tells: bytes of the device.

  data(bytes: Uint8Array): void {
    const decoder = this.#decoder;
    if (this.over || !decoder) return this.#stream.consume(bytes.length);
    const before = this.#received;
    try {
      decoder.push(bytes);
    } catch (error) {
      this.#endBy(error);
    }
    if (!this.#head && !this.over) return this.#unfinished(bytes.length);
    this.#headMemory?.end();
    this.#settleContent();
    // Content is given back when the backend takes it, everything else at once.
    this.#stream.consume(bytes.length - (this.#received - before));
    // Only now: most requests end in the same record, and go out with their length or as having no content.
    if (this.#phase === 'head' && this.#head && this.#known(this.#head)) this.#enter();
  }

  end(): void {
    try {
      if (!this.over) this.#decoder?.finish();
    } catch (error) {
      this.#endBy(error);
    }
    this.#decoder = undefined;
  }

  reset(): void {
    this.#phase = 'over';
    this.#stop();
  }

  drain(): void {
    this.#gate?.flow?.resume();
  }

  recheck(): void {
    const refused = this.over ? undefined : this.#gate?.recheck();
    if (refused) this.refuse(refused);
  }

  // What the decoder of the request tells.

  head(head: RequestHead): void {
    // The grammar of its path is the resource's: `decide` looks at it.
    checkRequest(head, { paths: 'exact' });
    this.#declared = contentLength(head.fields);
    this.#head = head;
    const { authority, method, path } = head;
    const second = secondPath(head);
    const wanted = { kind: 'http', authority, method, path } as const;
    this.#gate = new Gate(this.#host, this, wanted, second === undefined ? undefined : { ...wanted, path: second });
  }

  content(bytes: Uint8Array): void {
    this.#received += bytes.length;
    if (this.#declared !== undefined && this.#received > this.#declared) {
      throw new ChannelError('ERR_CHANNEL_HTTP_REFUSED', 'more content than declared');
    }
    if (this.over) return;
    this.#content ??= new RequestContent({
      ask: () => this.#write(),
      credit: (given) => this.#stream.consume(given),
    });
    this.#content.add(bytes);
  }

  trailers(trailers: readonly Field[]): void {
    checkTrailers(trailers);
    if (this.#declared !== undefined && this.#declared !== this.#received) {
      throw new ChannelError('ERR_CHANNEL_HTTP_REFUSED', 'less content than declared');
    }
    this.#complete = true;
    if (trailers.length > 0) this.#trailers = passedTrailers(trailers);
    this.#write();
  }

  // What backends ask: BackendAsker.

  get authority(): string {
    return this.#head!.authority;
  }

  get under(): string {
    return this.#gate!.resource.authority;
  }

  get tenant(): Tenant {
    return this.#host.tenant;
  }

  get tried(): ReadonlySet<BackendPool> | undefined {
    return this.#tried;
  }

  // What the answer asks and tells.

  get over(): boolean {
    return this.#phase === 'over';
  }

  get facing(): Facing {
    return facingOf(this.#host, {
      head: this.#head!,
      backend: this.#gate!.resource.backend,
      server: this.#pool?.server.url,
    });
  }

  mayServe(): boolean {
    return this.#host.mayServe();
  }

  mayBegin(): boolean {
    if (this.over) return false;
    // The request may have waited for a connection: rights, lease and even the backend may be others by now.
    const look = this.#gate!.look();
    if (look === 'pass' && this.#isStillThere()) return true;
    this.#gate!.close();
    this.#phase = 'waiting';
    if (look === 'pass' || look === 'wait') this.#gate!.enter();
    else this.refuse(look);
    return false;
  }

  begun(): void {
    this.#gate!.begin();
    // Where the head said that nothing follows, nothing more goes to the backend, and nothing is asked for it.
    this.#phase = this.#bare ? 'sent' : 'sending';
    // A request that was framed before its end was known needs the end said.
    this.#write();
  }

  untaken(): void {
    this.#gate!.untaken();
    if (!this.over) this.#phase = 'waiting';
  }

  room(): void {
    this.#content?.room();
  }

  full(): void {
    this.#gate?.flow?.pause();
  }

  done(): void {
    this.#phase = 'over';
    this.#host.count('http', 'done');
    this.#stream.consumeAll();
    this.#stream.settle();
  }

  refuse(code: SignedCode, words?: string): void {
    if (this.over) return;
    this.#phase = 'over';
    resetRefused({ host: this.#host, stream: this.#stream }, { kind: 'http', gate: this.#gate, code, words });
    this.#stop();
  }

  failed(error: BackendError): void {
    if (!this.over) this.#host.backendFailed(this.#gate!.resource.name, error);
  }

  goesOn(error: BackendError): boolean {
    const pool = this.#pool;
    if (this.over || !pool || !isNotThere(error) || this.#gate!.begun) return false;
    this.#tried = (this.#tried ?? new Set()).add(pool);
    if (!this.#host.backends.hasOther(this.#gate!.resource.backend, this.#tried)) return false;
    this.#gate!.close();
    this.#gate!.enter();
    return true;
  }

  /** Bad input of this stream ends this stream; the channel goes on. */
  #endBy(error: unknown): void {
    if (!(error instanceof ChannelError)) throw error;
    if (!this.over) this.#host.refused(error.message);
    this.refuse(error.tooLarge ? 'FIELDS_TOO_LARGE' : 'REQUEST_REFUSED', error.message);
  }

  /**
   * True when it is known whether there is content. Methods that usually have none wait for the end of the request, to be sent
   * as what they are.
   */
  #known({ method }: RequestHead): boolean {
    return this.#complete || this.#declared !== undefined || this.#received > 0 || mayHaveContent(method);
  }

  #unfinished(bytes: number): void {
    const place = { budget: this.#host.heads, credit: (given: number) => this.#stream.consume(given) };
    this.#headMemory ??= new HeadMemory(place);
    this.#headMemory.add(bytes);
  }

  #enter(): void {
    this.#phase = 'waiting';
    this.#gate!.enter();
  }

  // What the gate tells.

  admitted(resource: ResourceGrant): void {
    const head = this.#head!;
    // What a backend leaves unread would be its next request.
    if (this.#hasContent && !mayHaveContent(head.method) && !resource.backend.readsContent)
      return this.refuse('REQUEST_REFUSED', `${head.method} with content: the resource does not say that it reads it`);
    try {
      this.#pool = this.#host.backends.pool(resource.backend, this);
    } catch (error) {
      // Nothing was sent: the backend's address is not allowed or not even an address.
      this.failed(error as BackendError);
      return this.refuse(codeOf(error as BackendError), wordsOf(error as BackendError));
    }
    const answer = new HttpAnswer(this, this.#stream);
    const call = this.#pool.call(this.#requestFor(head, resource), answer, this.#host.tenant);
    this.#gate!.open(call);
    call.send();
  }

  /** Sends what was held, and when the request is complete its end. */
  pass(way: PooledCall): void {
    if (this.#phase !== 'sending') return;
    this.#content?.pass(way, this.#complete);
    if (!this.#complete) return;
    this.#phase = 'sent';
    way.finish(this.#trailers);
  }

  /** True while the backend of the request is the one whose connection it waited for. */
  #isStillThere(): boolean {
    try {
      return this.#host.backends.serves(this.#gate!.resource.backend, this.#pool!, this);
    } catch {
      // It has moved to where no backend may be: asking again says so.
      return false;
    }
  }

  /** Asked when it is known. */
  get #hasContent(): boolean {
    return this.#received > 0 || (this.#declared ?? 0) > 0 || (!this.#complete && this.#declared === undefined);
  }

  /** A connection that carried content is not used again, unless the backend is known to read it: see `Backend`. */
  #requestFor(head: RequestHead, resource: ResourceGrant): BackendRequest {
    const { method, path } = head;
    const fields = requestFields(head, this.#host.deviceAddress, resource);
    const last = this.#hasContent && !resource.backend.readsContent;
    const { host = head.authority, prefix = '' } = resource.backend;
    const content = this.#framing(method, fields);
    this.#bare = content === 'none';
    return {
      method,
      path: prefix === '' ? path : `${prefix}${path}`,
      authority: host,
      fields,
      content,
      last,
    };
  }

  /** How the content of the request is framed; says its length where it is known only now. */
  #framing(method: string, fields: Field[]): BackendRequest['content'] {
    if (this.#declared !== undefined) return this.#declared === 0 ? 'none' : 'length';
    if (!this.#complete) return 'chunked';
    if (this.#received > 0 || mayHaveContent(method)) fields.push(['content-length', String(this.#received)]);
    return this.#received === 0 ? 'none' : 'length';
  }

  #settleContent(): void {
    const small = this.#content?.settle(this.#phase === 'sending') ?? 0;
    if (small > 1) this.#host.spend(small);
  }

  #write(): void {
    if (this.#phase === 'sending') this.#gate!.write();
  }

  /** Ends the work for the stream; without any it is settled at once. */
  #stop(): void {
    this.#headMemory?.end();
    const call = this.#gate?.flow;
    if (call) call.abort();
    else this.#stream.settle();
  }
}
